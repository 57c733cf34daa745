"""A kiosk that is nothing but its folder of releases: installed into, started, and looked at."""

import hashlib
from pathlib import Path
from typing import Any

from agent.release.choice import Choice, Chosen
from agent.release.install import Installation
from agent.release.order import InstallOrder
from agent.release.slots import Releases, Slot, State, Trial
from contract.keys import PrivateKey
from tests.support.releases import pack, pin_keys, release_key, tiny_tree


class Box:
    """Installs tiny releases, and decides at each start what would run."""

    def __init__(self, folder: Path, key: PrivateKey | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.key = key or release_key()
        self.keys = folder / "keys.json"
        pin_keys(self.keys, self.key)
        self.releases = Releases(folder / "releases")
        self.packaged = "1.0.0"
        self.boot_id = "boot-1"
        self.now_s = 1000.0
        self.said: list[str] = []

    @property
    def state(self) -> State:
        return self.releases.load()

    def build(self, version: str) -> Path:
        return pack(tiny_tree(self.folder / f"tree-{version}", version), self.folder, self.key)

    def order(self, file: Path, version: str) -> InstallOrder:
        return InstallOrder(
            file=str(file),
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            version=version,
            allow_older=True,
            running=self.packaged,
            releases=str(self.releases.folder),
            slot=self.state.free_slot(),
            keys=str(self.keys),
            max_bytes=2**30,
            floor_bytes=0,
        )

    def trial(self, order: InstallOrder, manifest: str, **changes: Any) -> Trial:
        slot = Slot(
            name=order.slot, version=order.version, manifest=manifest, packaged=self.packaged
        )
        told = {"before": "1.0.0", "confirm_s": 10.0, "deadline_s": 100.0, "max_starts": 3}
        return Trial(**{"slot": slot, "command": order.version, **told, **changes})

    def install(self, version: str, **changes: Any) -> None:
        """Unpack a release and put it on trial."""
        order = self.order(self.build(version), version)
        manifest = Installation(order).run()
        self.releases.save(self.state.with_trial(self.trial(order, manifest, **changes)))

    def confirm(self) -> None:
        self.releases.save(self.state.confirmed())

    def stay_up(self) -> None:
        """Let the confirmed release run for long enough."""
        slot = self.state.current
        assert slot is not None
        self.releases.save(self.state.stayed_up(slot.name))

    def end_in_order(self) -> None:
        """Have the confirmed release end as it is told to."""
        slot = self.state.current
        assert slot is not None
        self.releases.save(self.state.forgiven(slot.name))

    def choice(self, *, counting: bool = True) -> Chosen | None:
        return Choice(
            self.releases,
            self.keys,
            packaged=self.packaged,
            boot_id=self.boot_id,
            now_s=self.now_s,
            counting=counting,
            say=self.said.append,
            went_on=lambda: None,
        ).make()

    def start(self, *, counting: bool = True) -> str:
        """Return the version that would run."""
        chosen = self.choice(counting=counting)
        if chosen is None:
            return self.packaged
        site = next(self.releases.slot(chosen.slot).glob("lib/*/site-packages"))
        return (site / "agent/__init__.py").read_text().split('"')[1]
