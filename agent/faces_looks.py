"""Looks at picture files: once at each, in as many processes as there are cores for it."""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2

from agent.faces_report import Seen
from vision.identity import backends
from vision.identity.chain import Chain
from vision.picture import PictureError, read_picture

_WORTH_A_PROCESS = 8
"""Pictures: fewer are looked at sooner than another process has loaded the models."""

_chain: Chain | None = None


def see(file: Path, chain: Chain) -> Seen:
    """Look at one picture."""
    try:
        picture = read_picture(file)
    except PictureError as error:
        return Seen(None, ("unreadable",), 0, error=f"{file}: {error}")
    look = chain.look(picture)
    template = chain.template(picture, look.main) if look.main else None
    return Seen(template, look.quality.reasons, len(look.faces))


def see_all(files: Iterable[Path], chain: Chain, manifest: Path | None) -> Mapping[Path, Seen]:
    """Look at pictures; ``manifest`` is the list of models that ``chain`` was made of."""
    wanted = sorted(set(files))
    workers = min(len(os.sched_getaffinity(0)), len(wanted) // _WORTH_A_PROCESS)
    if workers < 2:
        return {file: see(file, chain) for file in wanted}
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_open, initargs=(manifest,)
    ) as pool:
        return dict(zip(wanted, pool.map(_see, wanted), strict=True))


def _open(manifest: Path | None) -> None:
    global _chain  # noqa: PLW0603 - what a process of a pool keeps between its tasks
    cv2.setNumThreads(1)
    _chain = Chain(backends.open_backend(manifest, thorough=True))


def _see(file: Path) -> Seen:
    assert _chain is not None  # noqa: S101 - the pool's processes begin with _open
    return see(file, _chain)
