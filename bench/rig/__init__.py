"""What benchmarks and tests share to build a world: a broker that can fall, a line that breaks."""
