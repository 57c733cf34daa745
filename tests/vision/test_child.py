"""What a process is told after its order."""

import io
from types import SimpleNamespace
from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st

from vision import child

LIMIT = 20


@given(st.lists(st.integers(0, 70)))
@example([3, 50, 3, 19, 20])
def test_lines_are_heard_as_they_were_told(lengths):
    """Those within the limit, in their order; no part of a longer one is taken for a line."""
    told = [b"%d" % (length % 10) * length + b"\n" for length in lengths]
    heard = []
    stdin = SimpleNamespace(buffer=io.BytesIO(b"".join(told) + b"unfinished"))
    with patch.object(child.sys, "stdin", stdin):
        child.read_on(heard.append, max_bytes=LIMIT)
    assert heard == [line for line in told if len(line) <= LIMIT]
