"""The file system that holds the state, and how worn the flash below it is."""

import os
import re
from pathlib import Path

from telemetry.health.probe import Values

_READ_ONLY = {"ro", "emergency_ro"}
"""ext4 since Linux 6.15 says emergency_ro after an error, and statvfs(3) stays silent."""


class DiskProbe:
    """Space and inodes as ``df`` counts them, and whether anything can be written."""

    def __init__(self, state_dir: Path, *, proc: Path = Path("/proc")) -> None:
        self._state_dir = state_dir
        self._mountinfo = proc / "self/mountinfo"

    def read(self) -> Values:
        """Ask the file system. Blocks for as long as a broken disk does."""
        status = os.statvfs(self._state_dir)
        used = status.f_blocks - status.f_bfree
        usable = used + status.f_bavail
        inodes = status.f_files
        return {
            "disk_used_percent": round(100 * used / usable, 1) if usable else None,
            "disk_free_bytes": status.f_bavail * status.f_frsize,
            # Some file systems (btrfs) have no fixed number of inodes and say 0.
            "disk_inodes_used_percent": (
                round(100 * (inodes - status.f_ffree) / inodes, 1) if inodes else None
            ),
            "disk_read_only": bool(status.f_flag & os.ST_RDONLY) or self._mounted_read_only(),
        }

    def _mounted_read_only(self) -> bool:
        """Look into proc_pid_mountinfo(5) for the mount that holds the state."""
        try:
            lines = self._mountinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return False
        state_dir = self._state_dir.resolve()
        options: set[str] = set()
        depth = -1
        for line in lines:
            mount, _, source = line.partition(" - ")
            fields, source_fields = mount.split(), source.split()
            if len(fields) < 6 or len(source_fields) < 3:
                continue
            point = Path(_unescape(fields[4]))
            # Of mounts on one place, the last is on top.
            if len(point.parts) >= depth and state_dir.is_relative_to(point):
                depth = len(point.parts)
                options = {*fields[5].split(","), *source_fields[2].split(",")}
        return not options.isdisjoint(_READ_ONLY)


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


class WearProbe:
    """Wear of eMMC, the worst of all chips. NVMe tells only root, so it is absent there."""

    def __init__(self, *, sys: Path = Path("/sys")) -> None:
        self._sys = sys

    def read(self) -> Values:
        """Read the life time estimates, which are steps of 10 %: the upper end is reported."""
        wear: list[int] = []
        for device in self._sys.glob("block/mmcblk*/device"):
            # DEVICE_LIFE_TIME_EST_TYP_A and _B: 0 undefined, 1: up to 10 %, 10: up to 100 %,
            # 11: exceeded. PRE_EOL_INFO, spare blocks used up: 2: 80 %, 3: 90 %.
            wear += [10 * step for step in _hex_numbers(device / "life_time") if 1 <= step <= 11]
            wear += [
                {2: 80, 3: 90}[level]
                for level in _hex_numbers(device / "pre_eol_info")
                if level in {2, 3}
            ]
        return {"disk_wear_percent": float(max(wear)) if wear else None}


def _hex_numbers(path: Path) -> list[int]:
    try:
        return [int(word, 16) for word in path.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []
