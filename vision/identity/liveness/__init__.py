"""Is it a person who stands there, now? What is asked of them, and what is seen of attacks."""
