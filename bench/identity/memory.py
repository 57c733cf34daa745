"""``python -m bench.identity.memory``: memory of a process that verifies and looks for staff.

Prints one JSON object: ``rss_mib`` after a verification and a search among 10,000.
"""

import json
import os

import cv2

from bench.identity import ENROLLED, data, index_of, verify
from vision.identity.backends import open_backend
from vision.identity.chain import Chain


def main() -> None:
    """Measure."""
    cv2.setNumThreads(1)
    chain = Chain(open_backend())
    frame = data.drawn_frame()
    document = chain.template(frame, chain.find(frame)[0])
    index = index_of(ENROLLED, chain.backend.recogniser.dimension)
    outcome = verify(chain, frame, document)
    index.search(document)
    print(json.dumps({"rss_mib": _rss_mib(), "outcome": outcome}))


def _rss_mib() -> float:
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - of the kernel
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
