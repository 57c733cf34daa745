"""``python -m bench.identity.process FRAME``: a process that verifies and looks for staff.

Prints one JSON object: ``search_10k_ms``, and ``rss_mib`` after a verification and the searches.
What the camera's process does about freed memory is done here too.
"""

import json
import os
import sys
from pathlib import Path

import cv2

from bench.identity import ENROLLED, index_of, times_ms, verify
from vision.freed_memory import give_all_back, give_large_blocks_back
from vision.identity.backends import open_backend
from vision.identity.chain import Chain
from vision.picture import read_picture


def main() -> None:
    """Measure."""
    give_large_blocks_back()
    cv2.setNumThreads(1)
    chain = Chain(open_backend())
    frame = read_picture(Path(sys.argv[1]))
    document = chain.template(frame, chain.find(frame)[0])
    index = index_of(ENROLLED, chain.backend.recogniser.dimension)
    verify(chain, frame, document)
    give_all_back()
    (search_ms,) = times_ms(lambda: index.search(document), rounds=200)
    print(json.dumps({"search_10k_ms": search_ms, "rss_mib": round(_rss_mib(), 1)}))


def _rss_mib() -> float:
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - of the kernel
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
