from pathlib import Path

from bench.soak.files import Sizes


def test_a_database_and_its_log_are_one_file_and_the_largest_moment_counts(tmp_path: Path):
    sizes = Sizes(tmp_path)
    (tmp_path / "outbox.db").write_bytes(bytes(10))
    (tmp_path / "outbox.db-wal").write_bytes(bytes(30))
    (tmp_path / "small").write_bytes(b"x")
    sizes.look()
    (tmp_path / "outbox.db-wal").unlink()
    sizes.look()
    assert dict(sizes.largest) == {"outbox.db": 40, "small": 1}
    assert sizes.total == 41
