"""How often a threshold errs on labelled pairs."""

import pytest

from vision.identity.rates import NEVER, interval, rates_at, roc


def test_both_kinds_of_error_are_counted():
    """At the threshold is a match; a pair without a face never is."""
    rates = rates_at(0.7, [0.9, 0.7, 0.69, 0.7, 0.1, NEVER], [True, True, True, False, False, True])
    assert (rates.genuine, rates.impostor, rates.missed, rates.false) == (4, 2, 2, 1)
    assert (rates.fnmr, rates.fmr, rates.accuracy) == (0.5, 0.5, 0.5)


def test_no_rate_comes_of_no_pairs():
    """Neither 0 nor 1."""
    rates = rates_at(0.7, [0.9], [True])
    assert (rates.fmr, rates.fnmr, rates.accuracy) == (None, 0, 1)


def test_the_curve_has_a_point_at_each_turn():
    """From strict to loose; pairs of the same similarity fall together."""
    points = roc([0.9, 0.8, 0.7, 0.6, 0.6, NEVER], [True, True, False, True, False, True])
    assert points == [(0, 0.5, 0.8), (0.5, 0.5, 0.7), (1, 0.75, 0.6)]
    assert roc([NEVER], [True]) == []


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 81, 0, 0.0453), (81, 81, 0.9547, 1), (5, 10, 0.2366, 0.7634), (0, 0, 0, 1)],
)
def test_an_interval_is_wider_the_fewer_were_seen(count, of, low, high):
    """No error in few pairs is no proof of none."""
    assert interval(count, of) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
