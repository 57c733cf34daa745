import pytest

from bench.soak.faults import FIRST_S, Fault, Kind, plan

HOUR_S = 3600.0


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_comes_within_an_hour_and_all_are_over_then(seed: int):
    faults = plan(seed, HOUR_S, list(Kind))
    assert {fault.kind for fault in faults} == set(Kind)
    assert all(FIRST_S <= fault.at_s <= fault.at_s + fault.for_s <= HOUR_S for fault in faults)


def test_the_same_seed_gives_the_same_schedule():
    assert plan(7, HOUR_S, list(Kind)) == plan(7, HOUR_S, list(Kind))
    assert plan(7, HOUR_S, list(Kind)) != plan(8, HOUR_S, list(Kind))


def test_a_kind_never_overlaps_itself():
    of_kind: dict[Kind, Fault] = {}
    for fault in plan(3, HOUR_S, list(Kind)):
        before = of_kind.get(fault.kind)
        assert before is None or before.at_s + before.for_s <= fault.at_s + 0.1
        of_kind[fault.kind] = fault


def test_the_agent_lives_through_the_later_part():
    kills = [one.at_s for one in plan(1, HOUR_S, list(Kind)) if one.kind is Kind.AGENT_KILLED]
    assert kills
    assert max(kills) <= 0.4 * HOUR_S


def test_what_the_machine_does_not_allow_is_left_out():
    kinds = [Kind.LINE_CUT, Kind.CHILD_KILLED]
    assert {fault.kind for fault in plan(1, HOUR_S, kinds)} == set(kinds)


def test_a_short_run_has_a_kill_of_the_agent_too():
    assert Kind.AGENT_KILLED in {fault.kind for fault in plan(1, 180.0, list(Kind))}
