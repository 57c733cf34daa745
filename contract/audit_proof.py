"""The proof that an audit trail stands as it was written: nothing changed, removed or reordered."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from joserfc.jwk import OKPKey
from pydantic_core import to_json

from contract.audit import (
    MAX_LINE_BYTES,
    NOTHING,
    AuditEntry,
    Head,
    Seal,
    open_head,
    read_entry,
)
from contract.errors import AuditError, ContractError
from contract.wire import format_time, parse

_SEAL_START = b'{"head":'


@dataclass(frozen=True, slots=True)
class Proof:
    """What was proved: entries ``first`` to ``last`` of a chain stand as they were written."""

    chain: str
    first: int
    last: int
    hash: str
    """Of the last entry."""
    head: Head | None
    """The signed head at the end of the trail; without one the end may have been cut off."""
    confirmed: int
    """How many published heads agree with the trail."""
    newest_confirmed: int | None
    """The newest entry whose head was published."""
    pruned: int
    """Published heads of entries that the trail holds no more."""
    foreign: Mapping[str, int]
    """Published heads of other chains, by chain."""


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's lines without their ends; what is too long for a line comes in pieces."""
    while line := file.readline(MAX_LINE_BYTES + 2):
        yield line.removesuffix(b"\n")


def verify(
    lines: Iterable[bytes],
    *,
    keys: Mapping[str, OKPKey] | None = None,
    heads: Iterable[Head] = (),
) -> Proof:
    """Prove a trail, line by line: entries, then the signed head.

    Args:
        lines: of the exported trail, without ends of line.
        keys: the kiosk's keys by id; ``None`` takes the one that the trail brings along, which
            proves no more than that the trail agrees with itself.
        heads: which were published, their signatures checked.

    Raises:
        AuditError: it does not stand as it was written; says where, and what is wrong.
    """
    trail = _Trail(heads)
    rest = iter(lines)
    for line in rest:
        if not line.startswith(_SEAL_START):
            trail.take(line, rest)
            continue
        head = _open_seal(line, keys)
        if next(rest, None) is not None:
            raise AuditError(trail.expected, "added", "something stands after the signed head")
        return trail.end(head)
    return trail.end(None)


class _Trail:
    """What has been read so far."""

    def __init__(self, heads: Iterable[Head]) -> None:
        self._heads: dict[tuple[str, int], Head] = {}
        self._kiosks: set[str] = set()
        for head in heads:
            self._kiosks.add(head.kiosk)
            known = self._heads.setdefault((head.chain, head.number), head)
            if known.hash != head.hash:
                text = f"two different heads of entry {head.number} were published"
                raise AuditError(head.number, "changed", text)
        self._first: AuditEntry | None = None
        self._last: AuditEntry | None = None
        self._confirmed: list[int] = []

    @property
    def expected(self) -> int | None:
        """The number of the next entry, where it is known."""
        return None if self._last is None else self._last.number + 1

    def take(self, line: bytes, rest: Iterator[bytes]) -> None:
        """Check the next entry; ``rest`` is looked at only to say what became of a missing one."""
        try:
            entry = read_entry(line)
        except ContractError as error:
            which = "the first entry" if self._last is None else f"entry {self.expected}"
            raise AuditError(self.expected, "broken", f"{which} cannot be read: {error}") from None
        if entry.digest() != entry.hash:
            number = self.expected or entry.number
            raise AuditError(number, "changed", f"entry {number} was changed: its hash is another")
        if self._last is None:
            self._begin(entry)
        else:
            self._follow(entry, self._last, rest)
        self._last = entry
        published = self._heads.get((entry.chain, entry.number))
        if published is not None:
            self._confirm(entry, published)

    def _begin(self, entry: AuditEntry) -> None:
        if entry.number == 1 and entry.prev != NOTHING:
            raise AuditError(1, "changed", "entry 1 was changed: it follows another entry")
        self._first = entry

    def _follow(self, entry: AuditEntry, last: AuditEntry, rest: Iterator[bytes]) -> None:
        expected = last.number + 1
        if entry.chain != last.chain:
            text = f"entry {expected} is not there: an entry of the chain {entry.chain} stands here"
            raise AuditError(expected, "another_chain", text)
        if entry.number < expected:
            text = f"entry {entry.number} stands after entry {last.number}: moved, or put in"
            raise AuditError(entry.number, "reordered", text)
        if entry.number > expected:
            missing = _span(expected, entry.number - 1)
            if any(_is_number(line, expected) for line in rest):
                text = f"entry {expected} was moved: entry {entry.number} stands in its place"
                raise AuditError(expected, "reordered", text)
            raise AuditError(expected, "removed", f"{missing} removed")
        if entry.prev != last.hash:
            text = f"entry {last.number} was changed: entry {expected} follows another one"
            raise AuditError(last.number, "changed", text)

    def _confirm(self, entry: AuditEntry, published: Head) -> None:
        if published.hash != entry.hash:
            since = f" after entry {self._confirmed[-1]}" if self._confirmed else ""
            text = (
                f"entry {entry.number} is not the one whose head was published at "
                f"{format_time(published.time)}: it, or one before it{since}, was changed"
            )
            raise AuditError(entry.number, "changed", text)
        self._confirmed.append(entry.number)

    def end(self, head: Head | None) -> Proof:
        """Check what the heads say of the whole."""
        first, last = self._first, self._last
        if first is None or last is None:
            raise AuditError(None if head is None else head.first, "removed", "it has no entries")
        if head is not None:
            self._kiosks.add(head.kiosk)
            _check_ends(head, first, last)
        if len(self._kiosks) > 1:
            text = f"the heads are of several kiosks: {', '.join(sorted(self._kiosks))}"
            raise AuditError(None, "bad_head", text)
        numbers = [number for chain, number in self._heads if chain == last.chain]
        if (newest := max(numbers, default=0)) > last.number:
            text = f"{_span(last.number + 1, newest)} cut off at the end; their head was published"
            raise AuditError(last.number + 1, "removed", text)
        foreign: dict[str, int] = {}
        for chain, _ in self._heads:
            if chain != last.chain:
                foreign[chain] = foreign.get(chain, 0) + 1
        return Proof(
            chain=last.chain,
            first=first.number,
            last=last.number,
            hash=last.hash,
            head=head,
            confirmed=len(self._confirmed),
            newest_confirmed=self._confirmed[-1] if self._confirmed else None,
            pruned=sum(number < first.number for number in numbers),
            foreign=foreign,
        )


def _check_ends(head: Head, first: AuditEntry, last: AuditEntry) -> None:
    if head.chain != last.chain:
        text = f"the signed head is that of another chain, {head.chain}"
        raise AuditError(last.number, "another_chain", text)
    if head.first < first.number:
        text = f"{_span(head.first, first.number - 1)} removed at the beginning"
        raise AuditError(head.first, "removed", text)
    if head.number > last.number:
        text = f"{_span(last.number + 1, head.number)} removed at the end"
        raise AuditError(last.number + 1, "removed", text)
    if head.number < last.number:
        text = f"the signed head ends with entry {head.number}; what follows was added"
        raise AuditError(head.number + 1, "added", text)
    if head.hash != last.hash:
        text = f"entry {last.number} is not the one that was signed: it, or one before, was changed"
        raise AuditError(last.number, "changed", text)


def _open_seal(line: bytes, keys: Mapping[str, OKPKey] | None) -> Head:
    try:
        seal = parse(Seal, line, limit=MAX_LINE_BYTES)
        trusted = {seal.key.kid: seal.key.verifier()} if keys is None else keys
        return open_head(to_json(seal.head), trusted)
    except ContractError as error:
        raise AuditError(None, "bad_head", f"the signed head at the end: {error}") from None


def _is_number(line: bytes, number: int) -> bool:
    try:
        return read_entry(line).number == number
    except ContractError:
        return False


def _span(first: int, last: int) -> str:
    return f"entry {first} was" if first == last else f"entries {first} to {last} were"
