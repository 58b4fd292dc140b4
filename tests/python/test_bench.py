# SPDX-License-Identifier: MIT
"""The benchmark measures what it says: turns, units, ratios, bounds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headway import _cachedir
from headway._bench import _peers, _report, _timing
from headway._bench._timing import Contest, Measured


def measured(contest: Contest, seconds: float = 0.01) -> dict[str, Measured]:
    *progress, last = _timing.measure(contest, seconds)
    assert all(0 <= part < 1 for part in progress)  # type: ignore[operator]
    assert isinstance(last, dict)
    return last


class Clock:
    """Time that passes only in `sleep`."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_timing, "time", clock)
    return clock


def sleepers(clock: Clock) -> Contest:
    contest = Contest("sleeping", "element")
    for name, ms in [("short", 3), ("long", 9)]:
        contest.add(name, f"{ms} ms", lambda ms=ms: ("f(s)", {"f": clock.sleep, "s": ms / 1e3}),
                    per=10)  # fmt: skip
    contest.figure("short against long", "short", "long", 0.5)
    contest.figure("how many times faster", "short", "long", 4, "at least")
    return contest


def test_a_time_is_for_one_unit_of_work(clock: Clock) -> None:
    found = measured(sleepers(clock))
    assert found["short"].median == pytest.approx(0.3e-3)
    assert found["short"].least == pytest.approx(0.3e-3)
    assert found["long"].median == pytest.approx(0.9e-3)


def test_contestants_take_turns_the_same_number_of_times(clock: Clock) -> None:
    order: list[str] = []
    contest = Contest("turns", "call")
    for name in "ab":
        contest.add(
            name,
            "",
            lambda name=name: (
                "f(n); s(0.003)",
                {"f": order.append, "n": name, "s": clock.sleep},
            ),
        )
    found = measured(contest)
    rounds = len(found["a"].rounds)
    assert rounds == len(found["b"].rounds) >= 5
    assert "".join(order).endswith("ab" * rounds)


def test_fast_work_is_repeated_until_the_clock_can_see_it() -> None:
    contest = Contest("nothing", "call")
    contest.add("nothing", "", lambda: ("f()", {"f": int}))
    assert 1e-9 < measured(contest)["nothing"].median < 1e-5


def test_a_round_runs_in_the_context_of_its_contestant(clock: Clock) -> None:
    inside: list[bool] = []
    state = [False]

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        state[0] = True
        yield
        state[0] = False

    contest = Contest("context", "call")
    work = {"f": lambda: (inside.append(state[0]), clock.sleep(3e-3))}
    contest.add("work", "", lambda: ("f()", work), around=around)
    measured(contest)
    assert inside and all(inside)


def test_garbage_collection_is_off_while_measuring_and_on_again_after() -> None:
    import gc

    seen: list[bool] = []
    contest = Contest("gc", "call")
    contest.add("work", "", lambda: ("f()", {"f": lambda: seen.append(gc.isenabled())}))
    measured(contest)
    assert not seen[-1]
    assert gc.isenabled()


def test_a_contestant_that_cannot_take_part_says_why() -> None:
    def missing() -> tuple[str, dict[str, Any]]:
        raise _peers.Missing("it is not installed")

    contest = Contest("absent", "call")
    contest.add("there", "", lambda: ("f()", {"f": int}))
    contest.add("gone", "", missing)
    contest.figure("there against gone", "there", "gone", 1)
    assert contest.absent == {"gone": "it is not installed"}
    assert list(_report._rows(contest, measured(contest))) == []


def test_ratios_are_of_ours_to_theirs_or_how_many_times_faster(clock: Clock) -> None:
    contest = sleepers(clock)
    less, faster = _report._rows(contest, measured(contest))
    assert less.value == pytest.approx(1 / 3)
    assert less.reached is True
    assert faster.value == pytest.approx(3)
    assert faster.reached is False
    assert less.theirs is not None and less.theirs[0] == "long"


def test_a_ratio_pairs_the_times_of_one_round(clock: Clock) -> None:
    contestant = sleepers(clock).contestants[0]
    steady = Measured(contestant, (1.0, 10.0, 1.0))  # the machine slowed down in round two
    double = Measured(contestant, (2.0, 20.0, 2.0))
    assert _timing.ratio(double, steady) == 2.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.3456e-9, "12.3 ns"), (4.5e-6, "4.5 us"), (0.0123, "12.3 ms"), (2.0, "2 s")],
)
def test_durations_have_three_figures_and_a_unit(seconds: float, text: str) -> None:
    assert _report.duration(seconds) == text


def test_markdown_has_a_row_for_each_figure_and_what_each_side_does(clock: Clock) -> None:
    contest = sleepers(clock)
    found = measured(contest)
    report = _report.Report(
        rows=list(_report._rows(contest, found)),
        contests=[
            {
                "suite": "call",
                "title": contest.title,
                "unit": contest.unit,
                "absent": {},
                "seconds": {
                    name: {"what": m.contestant.what, "median": m.median, "least": m.least,
                           "rounds": len(m.rounds)}
                    for name, m in found.items()
                },
            }
        ],
        absent={"gone": "it is not installed"},
    )  # fmt: skip
    report.rows[0].beside["3.13.0"] = 0.25
    machine = {"cpu": "a processor", "cores": 2, "system": "Linux", "python": "3.11.7",
               "compiler": "gcc 12"}  # fmt: skip
    text = _report.markdown(report, machine)
    assert "| short against long |" in text
    assert "(missed)" in text.split("how many times faster")[1].splitlines()[0]
    assert text.splitlines()[2].endswith("| times | on 3.13.0 |")
    assert "| short | 3 ms |" in text
    assert "gone took no part: it is not installed" in text


def test_peers_are_built_once_and_again_after_the_cache_was_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_CACHE_DIR", str(tmp_path))
    library = _peers.Peers().kernels
    stamp = library.stat().st_mtime_ns
    assert _peers.Peers().kernels.stat().st_mtime_ns == stamp
    _cachedir.clear()
    assert not library.exists()
    assert _peers.Peers().kernels.is_file()
    assert [path for path in (tmp_path / "bench").iterdir() if path.name.startswith(".")] == []


def test_a_compiler_that_fails_makes_a_peer_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("CC", "/bin/false")
    with pytest.raises(_peers.Missing, match="/bin/false"):
        _ = _peers.Peers().kernels
    assert list((tmp_path / "bench").iterdir()) == []
