from bench.soak.memory import JUDGED_FROM_S, WARM_UP_S, Lives, settled, slope_kib_per_h

LONG_S = WARM_UP_S + JUDGED_FROM_S + 10


def rising(
    kib_per_h: float, until_s: float, *, warm_up_kib: float = 0.0
) -> list[tuple[float, float]]:
    times = [5.0 * n for n in range(int(until_s / 5) + 1)]
    return [
        (
            at,
            60_000
            + kib_per_h * at / 3600
            + (warm_up_kib * at / WARM_UP_S if at < WARM_UP_S else warm_up_kib),
        )
        for at in times
    ]


def test_the_slope_is_that_after_the_warm_up():
    samples = settled(rising(500, LONG_S, warm_up_kib=20_000))
    assert round(slope_kib_per_h(samples)) == 500


def test_single_peaks_do_not_make_a_slope():
    samples = [(at, kib + (50_000 if at % 100 == 0 else 0)) for at, kib in rising(0, LONG_S)]
    assert slope_kib_per_h(settled(samples)) == 0


def test_a_short_life_is_not_judged():
    assert settled(rising(9_999, LONG_S - 20)) == []
    assert settled([]) == []


def test_the_steepest_long_life_of_a_program_counts():
    lives = Lives()
    for life, (until_s, kib_per_h) in enumerate([(10, 9_999), (LONG_S, 300), (LONG_S, 100)]):
        for at_s, kib in rising(kib_per_h, until_s):
            lives.add("agent", life, at_s, kib)
    assert round(lives.rise_kib_per_h("agent") or 0) == 300
    assert lives.longest_s("agent") == LONG_S
    assert 60_000 < lives.peak_kib("agent") < 60_200
    assert lives.programs() == ["agent"]
    assert lives.rise_kib_per_h("vision.capture") is None


def test_samples_are_written_down(tmp_path):
    lives = Lives()
    lives.add("agent", 1, 100.0, 60_000.4)
    lives.add("vision.capture", 2, 105.5, 100_000)
    lives.write(tmp_path / "memory.csv")
    assert (tmp_path / "memory.csv").read_text().splitlines() == [
        "program,life,at_s,kib",
        "agent,1,0.0,60000",
        "vision.capture,2,5.5,100000",
    ]
