from bench.soak.trail import ended_twice
from contract.audit import ChainHead, next_entry
from tests.support.clock import ManualClock

CHAIN = "01890a5d-ac96-774b-bcce-b302099a8057"


def lines(*entries: tuple[str, str]) -> list[bytes]:
    head, written = ChainHead(CHAIN), []
    for kind, command_id in entries:
        entry = next_entry(head, kind, {"command_id": command_id}, ManualClock().stamp())
        head = ChainHead(CHAIN, entry.number, entry.hash)
        written.append(entry.line())
    return written


def test_a_command_with_two_ends_in_the_trail_is_told():
    trail = lines(
        ("command.accepted", "a"),
        ("command.running", "a"),
        ("command.succeeded", "a"),
        ("command.failed", "b"),
        ("command.cancelled", "b"),
    )
    assert ended_twice(trail) == ["command b ended 2 times in the audit trail"]
    assert ended_twice(trail[:4]) == []
