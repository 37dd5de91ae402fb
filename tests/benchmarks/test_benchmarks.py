"""The benchmarks run, and their tables and JSON have the form that is promised. No test looks at a duration."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from . import ablation, peers, scale
from .__main__ import main
from .backend import BACKENDS, Backend, missing
from .contestant import CONTESTANTS, Contestant
from .contestants import ablated_call, ablated_loop, ablated_ring, fairness, growth
from .curve import CURVES
from .measurement import Measurement
from .picture import NoPicture
from .rows import ROWS, UnknownRow, chosen
from .sample import Sample
from .sampler import SampleFailed, Sampler, in_fresh_process
from .target import Target
from .worker import measure

GUIDE = (Path(__file__).parents[2] / "examples" / "guide" / "speed.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("python -m tests.benchmarks")
    for block in re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("python -m tests.benchmarks") and "soak" not in line and "--against" not in line
]
RUNS = [
    pytest.param(name, workload, backend, marks=pytest.mark.skipif(absent is not None, reason=absent or ""))
    for name, contestant in CONTESTANTS.items()
    for backend in contestant.backends
    for absent in [contestant.missing() or missing(backend)]
    for workload in (contestant.workloads() if absent is None else ["anything"])
]


@pytest.fixture(autouse=True)
def hardly_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "OPERATIONS", 20)
    monkeypatch.setattr(fairness, "DEADLINE", 0.001)  # until which a program is busy


def tiny(contestant: str, workload: str, size: int, backend: Backend) -> Sample:
    """A real sample, of hardly any work, in this process."""
    return measure(contestant, workload, min(size, 20), backend)


class Fixed:
    """Samples without work: 1 for every figure of a baseline, `ratio` for everybody else's."""

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio
        self.taken: list[tuple[str, str, Backend]] = []

    def __call__(self, contestant: str, workload: str, size: int, backend: Backend) -> Sample:
        self.taken.append((contestant, workload, backend))
        baseline = contestant in ("queue", "channel") or (contestant == "traced" and workload.endswith(("off", "by_hand")))
        value = 1.0 if baseline else self.ratio
        measures = ("time", "added", "spawn", "stop", "collect")
        return {f"{name}.{clock}": value for name in measures for clock in ("cpu", "wall")} | dict.fromkeys(
            ("bytes", "growth", "late"), value
        )


@pytest.mark.parametrize(("name", "workload", "backend"), RUNS)
def test_every_workload_of_every_contestant_runs(name: str, workload: str, backend: Backend) -> None:
    size = 2 if name == "mode" else 20
    figures = measure(name, workload, size, backend)
    assert figures
    assert all(type(value) is float for value in figures.values())


def test_contestants_that_are_compared_have_the_workloads_of_their_rows() -> None:
    for row in ROWS:
        for backend in row.targets:
            for side in filter(None, (row.subject, row.baseline.get(backend))):
                assert side.workload in CONTESTANTS[side.contestant].workloads()


def test_the_table_has_a_line_for_each_row_and_backend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--repeats", "1"], Sampler(tiny)) == 0
    said = capsys.readouterr().out.splitlines()
    first, head, *lines = [line for line in said if "not installed" not in line]  # a backend that isn't here is a line before
    assert first.startswith(("CPython", "PyPy"))
    assert head.split() == ["row", "what", "backend", "ratio", "(interval)", "must", "aim", "reached", "verdict"]
    wanted = [(row.id, backend) for row in ROWS for backend in row.targets if missing(backend) is None]
    assert len(lines) == len(wanted)
    for (row, backend), line in zip(wanted, lines, strict=True):
        assert line.split()[0] == row
        assert backend in line.split()
        assert line.split()[-1] in ("aim", "must", "MISS")


def test_json_has_one_object_per_row_and_backend_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["G3", "G9", "--json", "--repeats", "3"], Sampler(Fixed(0.5))) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert list(printed) == ["rows"]
    assert [(row["row"], row["backend"]) for row in printed["rows"]] == [
        (name, backend) for name in ("G3", "G9", "G9b") for backend in ("asyncio", "trio")
    ]
    for row in printed["rows"]:
        assert list(row) == ["row", "backend", "ratio", "must", "aim", "reached"]
        assert row["ratio"] == 0.5
        assert row["aim"] is None or row["must"] >= row["aim"] > 0


def test_a_row_really_runs_in_fresh_processes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["G8", "--backend", "asyncio", "--repeats", "1", "--quick", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["ratio"] > 0


def test_samples_are_interleaved_with_their_baselines() -> None:
    fixed = Fixed(0.5)
    assert main(["G8", "--backend", "trio", "--repeats", "2"], Sampler(fixed)) == 0
    assert fixed.taken == [("channel", "ring", "trio"), ("supervise", "ring", "trio")] * 2


def test_rows_that_look_at_one_sample_share_it() -> None:
    fixed = Fixed(0.5)
    assert main(["G9", "G10", "G16", "--backend", "asyncio", "--repeats", "1"], Sampler(fixed)) == 0
    q, library = ("queue", "idle", "asyncio"), ("supervise", "idle", "asyncio")
    assert fixed.taken == [q, library, q, library]  # 10k, then 100k; G9 has no baseline, but what shares its sample has


def test_a_baseline_that_cannot_run_on_the_backend_runs_on_its_own() -> None:
    fixed = Fixed(0.001)
    assert main(["G15", "--backend", "trio", "--repeats", "1"], Sampler(fixed)) == 0
    assert fixed.taken == [("queue", "behind_backlog", "asyncio"), ("supervise", "behind_backlog", "trio")]


def test_the_gate_passes_what_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    fixed = Fixed(0.001)
    assert main(["--gate", "--repeats", "1"], Sampler(fixed)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "passed"


def test_the_gate_fails_only_what_is_as_bad_when_measured_again(capsys: pytest.CaptureFixture[str]) -> None:
    fixed = Fixed(100.0)
    assert main(["G8", "--gate", "--backend", "asyncio", "--repeats", "1"], Sampler(fixed)) == 1
    said = capsys.readouterr().out
    assert "above it: once more, later" in said
    assert "REGRESSION, all of the work, 2 pairs" in said
    assert said.splitlines()[-1] == "FAILED: above the limit: G8 asyncio"  # the end of a log is what is kept of it
    assert len(fixed.taken) == 2 + 4

    class Bad(Fixed):
        def __call__(self, contestant: str, workload: str, size: int, backend: Backend) -> Sample:
            if len(self.taken) == 2:  # a hiccup in the first pair only
                self.ratio = 0.5
            return super().__call__(contestant, workload, size, backend)

    assert main(["G8", "--gate", "--backend", "asyncio", "--repeats", "1"], Sampler(Bad(100.0))) == 0


def test_the_gate_measures_again_with_all_of_the_work_and_after_all_other_rows(capsys: pytest.CaptureFixture[str]) -> None:
    taken: list[tuple[str, int]] = []

    def little_is_bad(contestant: str, workload: str, size: int, backend: Backend) -> Sample:
        taken.append((workload, size))
        return Fixed(100.0 if (workload, size) == little else 0.5)(contestant, workload, size, backend)

    (call,), (ring,) = chosen(["G5"]), chosen(["G8"])
    little, whole = (call.subject.workload, call.quick), (call.subject.workload, call.size)
    assert main(["G5", "G8", "--gate", "--backend", "asyncio", "--repeats", "1"], Sampler(little_is_bad)) == 0
    assert taken == [little] * 2 + [(ring.subject.workload, ring.quick)] * 2 + [whole] * 4
    assert capsys.readouterr().out.splitlines()[-1] == "passed"


def test_the_gate_takes_no_pair_that_cannot_change_its_verdict() -> None:
    fixed = Fixed(0.5)
    assert main(["G8", "--gate", "--backend", "asyncio"], Sampler(fixed)) == 0
    assert len(fixed.taken) == 2 * 3  # of 5 pairs, three are good

    class Jumps(Fixed):
        def __call__(self, contestant: str, workload: str, size: int, backend: Backend) -> Sample:
            self.ratio = 100.0 if len(self.taken) < 4 else 0.5  # in the first two pairs
            return super().__call__(contestant, workload, size, backend)

    jumps = Jumps(0.5)
    assert main(["G8", "--gate", "--backend", "asyncio"], Sampler(jumps)) == 0
    assert len(jumps.taken) == 2 * 5


def test_a_row_that_misses_its_must_is_gated_by_what_it_reached_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    target = Target(must=0.5, aim=0.4, reached=1.0)
    assert target.verdict(1.0) == "MISS"
    assert not target.regressed(1.49)
    assert target.regressed(1.51)
    assert main(["G4", "G5", "--gate", "--backend", "asyncio"], Sampler(Fixed(0.5))) == 0
    marked, unmarked, *_, mark, _ = capsys.readouterr().out.splitlines()[1:]
    assert " x* ok" in marked
    assert "*" not in unmarked
    assert mark == "* misses its must: by what it reached"


def test_only_what_misses_its_must_is_excused() -> None:
    excused = [target for row in ROWS for target in row.targets.values() if target.reached is not None]
    assert excused
    assert all(target.reached is not None and target.reached > 1.2 * target.must for target in excused)


def test_an_ablation_goes_from_the_barest_to_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    for row, backend, steps in (
        ("G1", "trio", 14),
        ("G11", "trio", 8),
        ("G9", "trio", 7),
        ("G3", "asyncio", 20),
        ("G3d", "trio", 17),
        ("G8", "asyncio", 17),
    ):
        assert main(["ablation", row, "--backend", backend, "--repeats", "1", "--quick"], Sampler(tiny)) == 0
        _, empty, head, *lines = capsys.readouterr().out.splitlines()
        assert empty == ""
        assert head.startswith(f"{row}, ")
        assert f"{backend}: must " in head
        assert len(lines) == steps
        assert all(line.startswith("  ") for line in lines)
        assert not any(" +" in line for line in lines[:1])


def test_each_step_of_what_is_ablated_changes_it() -> None:
    loops = [ablated_loop.text(step) for step in ablated_loop.STEPS]
    coroutines, plain = (
        [ablated_loop.text(step, ablated_call.SOURCE, [*steps]) for step in steps]
        for steps in (ablated_call.COROUTINE, ablated_call.PLAIN)
    )
    hops = [ablated_loop.text(step, ablated_ring.SOURCE, [*ablated_ring.STEPS]) for step in ablated_ring.STEPS]
    for texts in (loops, coroutines, plain, hops):
        assert len(set(texts)) == len(texts)
        assert not any("#+" in text or "#-" in text for text in texts)


def test_what_an_ablation_says_of_a_step_is_the_median_of_its_differences() -> None:
    (row,) = chosen(["G3"])
    written = ablation.lines(row, "asyncio", {"one": [1.0, 2.0, 3.0], "two": [1.5, 2.1, 3.1], "three": [1.0, 2.0, 3.0]})
    assert [line.split() for line in written[1:]] == [
        ["one", "2.000"],
        ["two", "2.100", "+0.100"],
        ["three", "2.000", "-0.100"],
    ]


def test_an_aim_is_below_the_must_and_may_be_unknown() -> None:
    assert Target(must=0.88, aim=0.25).verdict(0.5) == "must"
    assert Target(must=0.88, aim=0.25).verdict(0.2) == "aim"
    assert Target(must=0.88).verdict(0.2) == "must"
    with pytest.raises(ValueError, match=r"the aim 1 is above the must 0\.95"):
        Target(must=0.95, aim=1.0)


def test_memory_scatters_less_than_time() -> None:
    (row,) = (row for row in ROWS if row.id == "G9")
    assert Target(1000, slack=1.1).regressed(1101)
    assert all(target.slack == 1.1 for target in row.targets.values())
    assert Target(1000).slack == 1.5


def test_a_must_is_missed_only_if_the_whole_interval_lies_above_it() -> None:
    (row,) = (row for row in ROWS if row.id == "G1")
    must = row.targets["asyncio"].must
    for good, verdict in ((4, "must"), (3, "MISS")):  # of 15 the fourth from below bounds the interval
        values = [must * 0.99] * good + [must * 1.2] * (15 - good)
        assert Measurement(row, "asyncio", tuple(values)).verdict == verdict


def test_rows_are_chosen_by_name_or_by_group() -> None:
    assert [row.id for row in chosen(["g9"])] == ["G9", "G9b"]
    assert [row.id for row in chosen(["G15b", "G1"])] == ["G1", "G15b"]
    assert chosen([]) == ROWS
    assert len({row.id for row in ROWS}) == len(ROWS)
    with pytest.raises(UnknownRow, match="G99"):
        chosen(["G99"])


def test_a_row_that_does_not_exist_is_a_wrong_command() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["G99"])
    assert ended.value.code == 2


def test_a_sample_that_fails_says_which_and_why() -> None:
    with pytest.raises(SampleFailed, match="queue nonsense 1 on asyncio: KeyError: 'nonsense'"):
        in_fresh_process("queue", "nonsense", 1, "asyncio")


def test_a_contestant_that_is_not_there_is_a_line_of_text() -> None:
    gone = Contestant("gone", "Gone", "gone", package="no_such_package")
    assert gone.missing() == "Gone is left out: the package 'no_such_package' is not installed (extra `bench`)"
    newer = Contestant("newer", "Newer", "newer", package="no_such_package", python=(99, 1))
    assert newer.missing() == "Newer is left out: it needs Python 99.1"
    unheard = Contestant("unheard", "Unheard", "unheard", program="no-such-program")
    assert unheard.missing() == "Unheard is left out: 'no-such-program' is not on PATH"


def test_scale_prints_each_point_and_the_growth_of_each_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "OPERATIONS", 20)
    small = [replace(curve, sizes=(200,), at=(100,)) if curve.at else replace(curve, sizes=(1, 20)) for curve in CURVES]
    printed: list[str] = []

    def take(contestant: str, workload: str, size: int, backend: Backend) -> Sample:
        return measure(contestant, workload, size, backend)

    seen = scale.scale([("asyncio", curve) for curve in small], Sampler(take), range(1), printed.append)
    assert [points.curve for _, points in seen] == small
    assert len(printed) == 1 + sum(len(points.costs) for _, points in seen)
    assert sum(" x " in line for line in printed) == len(small)


def test_peers_is_a_markdown_table_with_a_row_for_each_that_is_there() -> None:
    ratios = peers.compare(
        [("supervise", "asyncio"), ("supervise", "trio")], peers.COLUMNS, Sampler(Fixed(0.5)), range(1), print
    )
    head, rule, queue, *rows = peers.table(ratios, peers.COLUMNS)
    assert head.count("|") == rule.count("|") == queue.count("|") == len(peers.COLUMNS) + 2
    assert [row.split("|")[1].strip() for row in rows] == ["supervise on asyncio", "supervise on trio"]
    assert all(row.count(" 0.5 ") == len(peers.COLUMNS) for row in rows)


def test_the_guide_shows_a_table_of_this_form() -> None:
    lines = GUIDE.splitlines()
    (start,) = (number for number, line in enumerate(lines) if line.startswith("| x "))
    shown = list(takewhile(lambda line: line.startswith("|"), lines[start:]))
    form = peers.table({entrant: {} for entrant in peers.ENTRANTS}, peers.COLUMNS)
    assert shown[:2] == form[:2]
    assert all(line.count("|") == form[0].count("|") for line in shown)
    found, named = ([line.split("|")[1].strip() for line in table[2:]] for table in (shown, form))
    assert found == named
    assert [line for line in peers.notes(peers.ENTRANTS) if line not in lines] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_guide_run_in_short(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(tmp_path / Path(word).name) if word.endswith(".png") else word for word in shlex.split(command)]
    fixed = Fixed(0.5)

    def take(contestant: str, workload: str, size: int, backend: Backend) -> Sample:
        points = {curve.measure.format(number): 0.5 for curve in CURVES for number in curve.numbers}
        return {**fixed(contestant, workload, size, backend), **points}

    for module in (peers, scale):
        monkeypatch.setattr(module, "Sampler", lambda: Sampler(take))
    short = ["--repeats", "1"] if "--repeats" not in words else []
    taken = Sampler(tiny if "ablation" in words else fixed)
    assert main([*words, *short, *(["--quick"] if "--quick" not in words else [])], taken) == 0
    assert "CPython" in capsys.readouterr().out or "PyPy" in sys.version
    if importlib.util.find_spec("matplotlib") is not None:
        assert len([*tmp_path.iterdir()]) == command.count(".png")


def test_what_a_peer_cannot_do_is_a_dash() -> None:
    (row,) = peers.table({("mode", "asyncio"): {"crash to reply": 9.0}}, peers.COLUMNS)[3:]
    assert row.count("–") == len(peers.COLUMNS) - 1


def test_a_peer_that_needs_settings_says_which_under_the_table() -> None:
    lines = peers.notes(peers.ENTRANTS)
    firsts = [line.split(": ")[0] for line in lines if line.startswith("- ")]
    assert firsts == ["- tapio", "- casty", "- lapinbeam", "- everything-is-an-actor"]
    assert all(len(line) <= 128 and (line.startswith(("- ", "  "))) for line in lines)
    text = " ".join(line.strip() for line in lines)
    assert all(setting in text for setting in ("restart()", "Backoff(", "Supervisor(max_restarts=", "OneForOneStrategy("))
    assert peers.notes([("supervise", "asyncio"), ("supervise", "trio")]) == []


def test_a_peer_without_a_workload_says_why() -> None:
    assert "crash" not in CONTESTANTS["lapinbeam"].workloads()
    assert "backoff" in str(CONTESTANTS["lapinbeam"].note())


def test_a_peer_that_fails_is_a_line_of_text() -> None:
    def fails(contestant: str, workload: str, size: int, backend: Backend) -> Sample:
        if contestant == "supervise":
            raise SampleFailed("no")
        return Fixed(1.0)(contestant, workload, size, backend)

    said: list[str] = []
    ratios = peers.compare([("supervise", "trio")], peers.COLUMNS[:1], Sampler(fails), range(2), said.append)
    assert said == ["failed: no"]
    assert ratios == {("supervise", "trio"): {}}


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_both_pictures_are_drawn(tmp_path: Path) -> None:
    runs: list[tuple[Backend, Any]] = [(backend, replace(curve, at=())) for backend in BACKENDS for curve in CURVES]
    fixed = Sampler(Fixed(0.5))
    seen = scale.scale(
        [(backend, replace(curve, measure="time", sizes=(1, 10))) for backend, curve in runs], fixed, range(1), lambda _: None
    )
    scale.draw(seen, tmp_path / "scale.png")
    ratios = peers.compare([("supervise", "asyncio")], peers.COLUMNS, fixed, range(1), print)
    peers.draw(ratios, peers.COLUMNS, tmp_path / "peers.png")
    for name in ("scale.png", "peers.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_there_is_no_picture_and_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NoPicture, match="matplotlib is not installed"):
        scale.draw([], tmp_path / "scale.png")
