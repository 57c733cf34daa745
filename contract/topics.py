"""Topic names: ``{root}/{kiosk}/up/...`` and ``{root}/{kiosk}/down/...``."""

import re
from dataclasses import dataclass

from contract.errors import MalformedError

DEFAULT_ROOT = "kiosk/v1"
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ROOT = re.compile(r"[^+#/\x00]+(/[^+#/\x00]+)*")


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one kiosk.

    Raises:
        MalformedError: the root or the id cannot be part of a topic.
    """

    kiosk: str
    root: str = DEFAULT_ROOT

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.kiosk):
            msg = f"kiosk id {self.kiosk!r}: lower-case letters, digits and '-', at most 63"
            raise MalformedError(msg)
        check_root(self.root)

    @property
    def base(self) -> str:
        """What every topic of this kiosk starts with, without the last slash."""
        return f"{self.root}/{self.kiosk}"

    def up(self, suffix: str) -> str:
        """Topic of a message from the kiosk, such as ``up/health``."""
        return f"{self.base}/{suffix}"

    @property
    def state(self) -> str:
        """Birth and Last Will, retained."""
        return f"{self.base}/up/state"

    @property
    def command(self) -> str:
        """Signed commands."""
        return f"{self.base}/down/command"

    @property
    def config(self) -> str:
        """The desired configuration, signed, retained."""
        return f"{self.base}/down/config"

    def media(self, command_id: str) -> str:
        """Topic of the picture or archive that a command asked for."""
        return f"{self.base}/up/media/{command_id}"

    @property
    def ack(self) -> str:
        """The centre's watermark."""
        return f"{self.base}/down/ack"


def check_root(root: str) -> str:
    """Return ``root`` where it is a usable topic prefix, else raise :class:`MalformedError`."""
    if len(root) > 200 or not _ROOT.fullmatch(root):
        msg = f"topic root {root!r}: levels joined by '/', without '+' and '#'"
        raise MalformedError(msg)
    return root


def all_kiosks(root: str, suffix: str) -> str:
    """Subscription filter for one kind of message of every kiosk, such as ``up/event/#``."""
    return f"{check_root(root)}/+/{suffix}"


def split(root: str, topic: str) -> tuple[str, str]:
    """Split a received topic into kiosk id and suffix (``up/event/camera.lost``).

    Raises:
        MalformedError: the topic is not one of a kiosk under ``root``.
    """
    prefix = f"{root}/"
    kiosk, slash, suffix = topic.removeprefix(prefix).partition("/")
    if not topic.startswith(prefix) or not slash or not _ID.fullmatch(kiosk):
        msg = f"topic {topic!r} is not a kiosk's topic under {root!r}"
        raise MalformedError(msg)
    return kiosk, suffix
