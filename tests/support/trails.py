"""Audit trails to be proved, and to be tampered with."""

from contract.audit import AuditEntry, AuditHead, ChainHead, Head, announce, next_entry, seal_line
from contract.device import DevicePrivateKey
from contract.ids import uuid7
from tests.support.clock import START, ManualClock

KEY = DevicePrivateKey.generate()


class Written:
    """A chain of entries, and what can be told of it at its end."""

    def __init__(self, count: int = 0, *, kiosk: str = "k-1", key: DevicePrivateKey = KEY):
        self.kiosk = kiosk
        self.key = key
        self.chain = uuid7(int(START.timestamp() * 1000))
        self.entries: list[AuditEntry] = []
        self.stamp = ManualClock().stamp()
        for number in range(1, count + 1):
            self.append("chain.begin" if number == 1 else "command.accepted", text=f"第 {number}")

    def append(self, kind: str, **data) -> AuditEntry:
        entry = next_entry(self.at, kind, data, self.stamp)
        self.entries.append(entry)
        return entry

    @property
    def at(self) -> ChainHead:
        if not self.entries:
            return ChainHead(self.chain)
        return ChainHead(self.chain, self.entries[-1].number, self.entries[-1].hash)

    @property
    def head(self) -> Head:
        at = self.at
        return Head(
            kiosk=self.kiosk,
            chain=at.chain,
            first=self.entries[0].number,
            number=at.number,
            hash=at.hash,
            time=START,
        )

    @property
    def event(self) -> AuditHead:
        """The head as it is published."""
        return announce(self.head, self.key)

    @property
    def lines(self) -> list[bytes]:
        """What an export has."""
        return [*(entry.line() for entry in self.entries), seal_line(self.head, self.key)]
