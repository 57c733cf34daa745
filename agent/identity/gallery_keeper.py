"""The gallery as the agent works on it: opened with its key, set aside where it is damaged."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import structlog

from vision.identity.gallery import Gallery, GalleryDamagedError, delete_set_aside, set_aside
from vision.identity.gallery_key import GalleryError, GalleryKeyError, KeyPlace
from vision.identity.report import GalleryAccess

FILE_NAME = "gallery.db"

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class State:
    """How the gallery was when it was last worked on."""

    persons: int = 0
    access: GalleryAccess | None = field(default=None, repr=False)
    """None: nobody is enrolled."""
    key_problem: str | None = None
    changes: int = 0
    """Counts how often its persons have changed."""


class GalleryKeeper:
    """Opens the file and reads the key anew for each piece of work.

    So what is lost is noticed, and what is put back is found. Blocks; one call at a time.

    Args:
        folder: the agent's state folder.
        credentials: ``$CREDENTIALS_DIRECTORY``, where systemd gives one.
    """

    def __init__(self, folder: Path, credentials: Path | None) -> None:
        self._path = folder / FILE_NAME
        self._place = KeyPlace(folder, credentials)
        self.state = State()
        self.key_fault: str | None = None
        """Why the key cannot be read, in a sentence."""
        self.damage: str | None = None
        """What the last piece of work found damaged, in a sentence."""

    def exists(self) -> bool:
        """Whether there is a gallery, be it empty."""
        return self._path.exists()

    def work(self, do: Callable[[Gallery], T], *, make_key: bool = False) -> T:
        """Do a piece of work.

        Args:
            do: the work; what it raises passes through.
            make_key: make a key where there is none, and nobody is enrolled with another.

        Raises:
            GalleryError: the gallery cannot be used now; nothing was changed.
        """
        self.damage = None
        try:
            try:
                return self._work(do, make_key=make_key)
            except GalleryDamagedError as error:
                self._set_aside(error)
                return self._work(do, make_key=make_key)
        except OSError as error:
            msg = f"the list of enrolled staff {self._path}: {error.strerror}"
            raise GalleryError(msg) from None

    def delete_set_aside(self) -> None:
        """Delete damaged galleries of former times. Raises ``OSError``."""
        delete_set_aside(self._path)

    def _work(self, do: Callable[[Gallery], T], *, make_key: bool) -> T:
        key = self._read_key()
        if key is None and self.key_fault is None and make_key:
            with closing(Gallery(self._path, None)) as gallery:
                key = None if gallery.count() else self._place.make()
        with closing(self._open(key)) as gallery:
            try:
                return do(gallery)
            finally:
                self.state = self._look(gallery, key)

    def _open(self, key: bytes | None) -> Gallery:
        try:
            return Gallery(self._path, key)
        except GalleryDamagedError:
            raise
        except GalleryError:
            # Whether anybody is enrolled is not known: identity processes find out, or say why not.
            access = self.state.access or GalleryAccess(file=self._path, key=key)
            self.state = replace(self.state, access=access)
            raise

    def _read_key(self) -> bytes | None:
        self.key_fault = None
        try:
            return self._place.read()
        except GalleryKeyError as error:
            self.key_fault = str(error)
            return None

    def _look(self, gallery: Gallery, key: bytes | None) -> State:
        persons, problem = gallery.count(), self.key_fault or gallery.key_problem()
        access = GalleryAccess(file=self._path, key=key) if persons else None
        return State(persons, access, problem, gallery.changes())

    def _set_aside(self, error: GalleryDamagedError) -> None:
        aside = set_aside(self._path)
        self.state = State()
        self.damage = (
            f"the list of enrolled staff was damaged ({error}) and set aside as {aside.name}: "
            "nobody is enrolled any more; enrol them anew"
        )
        log.error("gallery_damaged", error=str(error), set_aside=str(aside))
