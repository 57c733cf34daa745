from bench.soak.account import Account
from bench.soak.judge import Bound, Verdict, judge
from contract import Data, Topics
from contract.business import DoorLocked
from contract.gap import Gap
from contract.message import seal
from contract.receipt import Receipt
from contract.state import AgentStarted, State
from tests.support.clock import ManualClock
from tests.support.samples import TIME

ONE = "01890a5d-ac96-774b-bcce-b302099a8057"
TWO = "01890a5d-ac96-774b-bcce-b302099a8058"


class Kiosk:
    """Says things to an account, each with the next number."""

    def __init__(self) -> None:
        self.account = Account(Topics("soak"))
        self.number = 0

    def says(self, *messages: Data) -> None:
        for data in messages:
            self.number += 1
            self.repeat(data, self.number)

    def repeat(self, data: Data, number: int | None) -> bytes:
        stamp = ManualClock().stamp()
        payload = seal(data, kiosk="soak", stamp=stamp, sequence=number).payload
        self.account.take(f"kiosk/v1/soak/{data.SUFFIX}", payload, 0.0)
        return payload

    def judged(self, *bounds: Bound, **sent: str) -> Verdict:
        known = {"one": ONE, "two": TWO}
        orders = {known[name]: action.replace("_", ".") for name, action in sent.items()}
        return judge(self.account, orders, list(bounds))


def receipt(status: str, command_id: str = ONE, **more) -> Receipt:
    return Receipt(command_id=command_id, action="door.lock", status=status, **more)


def locked(command_id: str = ONE) -> DoorLocked:
    return DoorLocked(until=TIME, command_id=command_id)


def test_a_command_with_one_end_and_one_effect_holds():
    kiosk = Kiosk()
    kiosk.says(receipt("accepted"), receipt("running"), locked(), receipt("succeeded"))
    verdict = kiosk.judged(one="door_lock")
    assert verdict.violations == []
    assert (verdict.commands_ended, verdict.effects) == (1, 1)


def test_a_repeated_last_receipt_is_no_second_end():
    kiosk = Kiosk()
    kiosk.says(receipt("accepted"), locked(), receipt("succeeded"), receipt("succeeded"))
    assert kiosk.judged(one="door_lock").violations == []


def test_two_different_ends_are_told():
    kiosk = Kiosk()
    kiosk.says(receipt("failed", code="timed_out"), locked(), receipt("succeeded"))
    verdict = kiosk.judged(one="door_lock")
    assert verdict.commands_doubled == 1
    assert "ended more than once" in verdict.violations[0]


def test_an_effect_that_came_twice_is_told():
    kiosk = Kiosk()
    kiosk.says(receipt("accepted"), locked(), locked(), receipt("succeeded"))
    assert kiosk.judged(one="door_lock").violations == [f"door.lock {ONE} was done 2 times"]


def test_an_effect_of_what_was_turned_away_is_told():
    kiosk = Kiosk()
    kiosk.says(locked(), receipt("rejected", code="busy"))
    assert "but told as rejected" in kiosk.judged(one="door_lock").violations[0]


def test_an_effect_that_nothing_tells_is_told_unless_messages_were_lost():
    kiosk = Kiosk()
    kiosk.says(receipt("succeeded"))
    assert "nothing tells of effects" in kiosk.judged(one="door_lock").violations[0]
    kiosk.number += 1
    gap = Gap(message_class="event", count=1, first_sequence=2, last_sequence=2, reason="full")
    kiosk.says(gap)
    assert kiosk.judged(one="door_lock").violations == []


def test_a_command_that_nobody_answered_is_lost():
    verdict = Kiosk().judged(one="ping")
    assert verdict.commands_lost == 1
    assert verdict.violations == [f"ping {ONE} is lost: nothing was ever said of it"]


def test_a_command_that_never_ended_is_lost():
    kiosk = Kiosk()
    kiosk.says(receipt("accepted"), receipt("running"))
    assert "accepted and never ended" in kiosk.judged(one="ping").violations[0]


def test_a_command_that_was_refused_unrecorded_was_answered():
    kiosk = Kiosk()
    kiosk.says(Receipt(claimed_id=ONE, status="rejected", code="storage"))
    verdict = kiosk.judged(one="door_lock")
    assert verdict.violations == []
    assert verdict.commands_refused_unrecorded == 1


def test_an_answer_to_what_was_never_ordered_is_told():
    kiosk = Kiosk()
    kiosk.says(receipt("succeeded", TWO), receipt("succeeded"))
    assert f"command {TWO} was never ordered" in kiosk.judged(one="ping").violations[0]


def test_numbers_that_nobody_admits_are_told():
    kiosk = Kiosk()
    kiosk.says(receipt("succeeded"))
    kiosk.number += 2
    kiosk.says(receipt("succeeded", TWO))
    verdict = kiosk.judged(one="ping", two="ping")
    assert verdict.violations == ["2 numbers are missing unadmitted: 2, 3"]


def test_a_number_on_two_messages_is_told():
    kiosk = Kiosk()
    kiosk.repeat(AgentStarted(agent_version="1", clean=True), 1)
    kiosk.repeat(AgentStarted(agent_version="1", clean=True), 1)
    assert "number 1 stands on two messages" in kiosk.judged().violations[0]


def test_the_same_message_again_is_a_repeat():
    kiosk = Kiosk()
    payload = kiosk.repeat(AgentStarted(agent_version="1", clean=False), 1)
    kiosk.account.take("kiosk/v1/soak/up/event/agent.started", payload, 1.0)
    account = kiosk.account
    assert (account.repeated, account.starts, account.unclean_starts) == (1, 1, 1)
    assert kiosk.judged().violations == []


def test_what_is_not_of_the_contract_is_told():
    kiosk = Kiosk()
    kiosk.account.take("kiosk/v1/soak/up/health", b"{}", 0.0)
    assert "up/health" in kiosk.judged().violations[0]


def test_a_late_will_does_not_change_the_state():
    kiosk = Kiosk()
    for state, session in (("online", 4), ("offline", 3)):
        kiosk.repeat(State(state=state, session=session, last_sequence=0), None)
    assert kiosk.account.state == "online"


def test_pictures_are_counted_by_command():
    kiosk = Kiosk()
    kiosk.account.take(f"kiosk/v1/soak/up/media/{ONE}", b"\xff\xd8", 0.0)
    assert kiosk.account.commands[ONE].media == 1


def test_what_is_above_its_bound_is_told():
    verdict = Kiosk().judged(Bound("rise in KiB/h", 5000, 4096), Bound("outbox in MiB", 1, 16))
    assert verdict.violations == ["rise in KiB/h is 5000, more than 4096"]
