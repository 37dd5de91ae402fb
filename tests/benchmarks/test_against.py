"""`--against`: its statistics, the order of its samples, and that each side measures itself. No test looks at a duration."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from . import __main__ as command
from .against import LIMIT, Comparison, against, status, verdict
from .backend import Backend
from .checkout import HERE, Checkout, checkout
from .interval import interval, rank
from .rows import chosen
from .sample import Sample
from .sampler import NoSuchWork, SampleFailed, Sampler, Take

MEASURES = ("time.cpu", "spawn.cpu", "collect.cpu", "added.cpu", "bytes", "growth", "late")


def gives(sample: Sample) -> Take:
    return lambda contestant, workload, size, backend: sample


def costs(value: float) -> Take:
    """A side where everything costs as much as that."""
    return gives(dict.fromkeys(MEASURES, value))


def raises(error: Exception) -> Take:
    def take(contestant: str, workload: str, size: int, backend: Backend) -> Sample:
        raise error

    return take


class Log:
    """Two sides that write down in which order they are asked, and for what."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, str, int, Backend]] = []

    def side(self, name: str) -> Sampler:
        def take(contestant: str, workload: str, size: int, backend: Backend) -> Sample:
            self.taken.append((name, contestant, workload, size, backend))
            return dict.fromkeys(MEASURES, 1.0)

        return Sampler(take)


def compared(names: list[str], here: Sampler, there: Sampler, pairs: int, backend: Backend = "asyncio") -> list[Comparison]:
    return against([(row, backend) for row in chosen(names)], here, there, pairs, print, quick=True)


@pytest.mark.parametrize(
    ("pairs", "wanted"), [(1, 1), (2, 1), (5, 1), (6, 1), (8, 1), (9, 2), (12, 3), (15, 4), (20, 6), (25, 8), (30, 10)]
)
def test_the_interval_is_bounded_by_the_rank_that_tables_of_the_sign_test_give(pairs: int, wanted: int) -> None:
    assert rank(pairs) == wanted


def test_the_interval_is_of_the_sorted_ratios() -> None:
    assert interval([8, 1, 15, 2, 14, 3, 13, 4, 12, 5, 11, 6, 10, 7, 9]) == (4, 12)
    assert interval([20, *range(1, 20)]) == (6, 15)
    assert interval([3, 1, 5, 2, 4]) == (1, 5)
    assert interval([7]) == (7, 7)


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (1.031, 1.2, "slower"),
        (LIMIT, 1.2, "undecided"),
        (1.02, 9.0, "undecided"),
        (0.5, 1.5, "undecided"),
        (0.96, 1.0, "undecided"),
        (0.1, 0.975, "undecided"),
        (0.98, 1.0, "same"),
        (1 / LIMIT, LIMIT, "same"),
        (0.1, 0.97, "faster"),
    ],
)
def test_a_verdict_is_of_the_whole_interval(low: float, high: float, wanted: str) -> None:
    assert verdict(low, high) == wanted


def test_a_ratio_is_here_to_there(capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = compared(["G3"], Sampler(costs(3.0)), Sampler(costs(2.0)), 15)
    assert one.ratios == (1.5,) * 15
    assert one.verdict == "slower"
    first, head, row, last = capsys.readouterr().out.splitlines()
    assert first == "here : there, 15 pairs"
    assert head.split() == ["row", "what", "backend", "ratio", "(95", "%", "interval)", "verdict"]
    assert row.split() == ["G3", "call", "asyncio", "1.500", "(1.500", "-", "1.500)", "slower"]
    assert last == "slower: G3 on asyncio"
    (one,) = compared(["G3"], Sampler(costs(2.0)), Sampler(costs(3.0)), 5)
    assert one.verdict == "faster"
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "here : there, 5 pairs, too few for 95 %: the interval is all of them"
    assert last == "slower: no row"


def test_the_order_of_a_pair_alternates_and_only_the_subject_is_timed() -> None:
    log = Log()
    compared(["G3"], log.side("here"), log.side("there"), 4, "trio")
    assert [name for name, *_ in log.taken] == ["here", "there", "there", "here"] * 2
    assert {asked[1:] for asked in log.taken} == {("supervise", "call", 5_000, "trio")}


def test_rows_that_look_at_one_sample_share_it_in_each_pair() -> None:
    log = Log()
    compared(["G9b", "G16"], log.side("here"), log.side("there"), 2)  # both of 10,000 idle actors, when quick
    assert [name for name, *_ in log.taken] == ["here", "there", "there", "here"]


@pytest.mark.parametrize("take", [raises(NoSuchWork("no")), gives({"other.cpu": 1.0})], ids=["no work", "no figure"])
def test_a_row_that_the_other_checkout_does_not_have_is_said_and_no_error(
    take: Take, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = compared(["G3", "G4"], Sampler(costs(1.0)), Sampler(take), 2)
    assert [one.verdict for one in seen] == ["not there", "not there"]
    assert status(seen) == 2  # nothing was compared
    out = capsys.readouterr().out.splitlines()
    assert out[2].split() == ["G3", "call", "asyncio", "not", "there"]
    assert out[-1] == "not there: G3 on asyncio, G4 on asyncio"


def test_a_row_that_is_not_there_is_no_error_beside_one_that_is() -> None:
    def take(contestant: str, workload: str, size: int, backend: Backend) -> Sample:
        if workload != "call":
            raise NoSuchWork(workload)
        return costs(1.0)(contestant, workload, size, backend)

    seen = compared(["G3", "G1"], Sampler(costs(1.0)), Sampler(take), 2)
    assert [one.verdict for one in seen] == ["not there", "same"]
    assert status(seen) == 0


def test_no_row_is_nothing_compared() -> None:
    assert status([]) == 2


@pytest.mark.parametrize(
    ("here", "there", "error"),
    [
        (costs(1.0), raises(SampleFailed("broken")), "broken"),
        (raises(NoSuchWork("gone")), costs(1.0), "gone"),
        (costs(1.0), costs(0.0), "the other checkout's time is 0: too little work to compare"),
    ],
    ids=["there", "a row of here that is not here", "nothing measured"],
)
def test_a_row_that_cannot_be_measured_does_not_end_the_others(
    here: Take, there: Take, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = compared(["G3", "G4"], Sampler(here), Sampler(there), 2)
    assert [(one.verdict, one.error) for one in seen] == [("failed", error)] * 2
    *_, row, slower, last = capsys.readouterr().out.splitlines()
    assert row.endswith(f"failed: {error}")
    assert slower == "slower: no row"
    assert last == "failed: G3 on asyncio, G4 on asyncio"


def test_a_slower_row_is_exit_code_1_also_beside_one_that_failed() -> None:
    (row,) = chosen(["G3"])
    slower, same, failed, gone = (Comparison(row, "trio", verdict) for verdict in ("slower", "same", "failed", "not there"))
    assert status([same, Comparison(row, "trio", "faster"), gone]) == 0
    assert status([same, failed, gone]) == 2
    assert status([failed, slower, same]) == 1


# -- with checkouts ------------------------------------------------------------------------------------------------------

WORKER = """
import json, sys
import supervise, supervise_strategies
assert supervise.HOME == supervise_strategies.HOME
contestant, workload, size, option, backend = sys.argv[1:]
assert (contestant, option, backend) == ("supervise", "--backend", "trio")
print("a word of some library")
print(json.dumps({{"time.cpu": {costs}[workload]}}))
"""


Make: TypeAlias = Callable[[str, dict[str, float]], Checkout]


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Checkouts of almost nothing, whose workers know these workloads, and say that they cost so much."""

    def make(name: str, costs: dict[str, float]) -> Checkout:
        root = tmp_path / name
        for package in ("supervise", "strategies/supervise_strategies", "tests", "tests/benchmarks"):
            (root / package).mkdir(parents=True)
            (root / package / "__init__.py").write_text(f"HOME = {name!r}\n", encoding="utf-8")
        (root / "tests/benchmarks/worker.py").write_text(WORKER.format(costs=costs), encoding="utf-8")
        return checkout(str(root))

    return make


def test_each_side_runs_its_own_worker_with_its_own_modules(
    made: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = made("here", {"send": 3.0, "call": 1.0}), made("there", {"send": 2.0})
    monkeypatch.setattr(command, "HERE", here)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*here.path, *there.path]))
    words = ["G1", "G3", "--backend", "trio", "--against", str(there.root), "--repeats", "2", "--quick", "--json"]
    assert command.main(words) == 1
    assert json.loads(capsys.readouterr().out) == {
        "rows": [
            {
                "row": "G1",
                "backend": "trio",
                "ratio": 1.5,
                "low": 1.5,
                "high": 1.5,
                "pairs": 2,
                "verdict": "slower",
                "error": "",
            },
            {
                "row": "G3",
                "backend": "trio",
                "ratio": None,
                "low": None,
                "high": None,
                "pairs": 0,
                "verdict": "not there",
                "error": "",
            },
        ]
    }


def test_a_worker_says_in_the_same_way_as_ever_what_it_does_not_have(made: Make) -> None:
    with pytest.raises(NoSuchWork, match=r"supervise ring 1 on trio in .*/old: KeyError: 'ring'"):
        made("old", {}).take("supervise", "ring", 1, "trio")
    for contestant, workload in (("supervise", "nonsense"), ("nobody", "call")):
        with pytest.raises(NoSuchWork, match=r"(KeyError: 'nonsense'|invalid choice: 'nobody' .*)$"):
            HERE.take(contestant, workload, 1, "asyncio")


def test_this_checkout_measures_itself() -> None:
    HERE.prove()


@pytest.mark.parametrize("module", ["supervise", "supervise_strategies", "tests.benchmarks"])
def test_a_side_that_would_measure_another_checkout_is_an_error_before_the_first_sample(
    module: str, made: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = made("here", {"send": 1.0}), made("there", {"send": 1.0})
    leak = f"import sys\nsys.path[:0] = {here.path}\nimport {module}\ndel sys.path[:2]\n"
    (there.root / "sitecustomize.py").write_text(leak, encoding="utf-8")  # an install may bring such a thing along
    monkeypatch.setattr(command, "HERE", here)
    assert command.main(["G1", "--backend", "trio", "--against", str(there.root)]) == 2
    printed = capsys.readouterr()
    assert f"error: in {there.root}, {module} would be imported from {here.root}" in printed.err
    assert "run with another environment's python" in printed.err
    assert "verdict" not in printed.out


def test_a_checkout_that_cannot_be_imported_says_why(made: Make) -> None:
    broken = made("broken", {})
    (broken.root / "supervise/__init__.py").write_text("import no_such_package\n", encoding="utf-8")
    with pytest.raises(SampleFailed, match=r"imports in .*/broken: ModuleNotFoundError: No module named 'no_such_package'"):
        broken.prove()


def test_there_are_15_pairs_unless_another_number_is_given(made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def take(self: Checkout, *_: object) -> Sample:
        taken.append(self.root.name)
        return {"time.cpu": 1.0}

    monkeypatch.setattr(Checkout, "take", take)
    monkeypatch.setattr(command, "HERE", made("here", {}))
    there = made("there", {})
    assert command.main(["G1", "--backend", "trio", "--against", str(there.root)]) == 0
    assert (taken.count("here"), taken.count("there")) == (15, 15)
    assert command.main(["G1", "--backend", "trio", "--against", str(there.root), "--repeats", "3"]) == 0
    assert len(taken) == 2 * 15 + 2 * 3


def test_a_path_that_is_no_checkout_is_a_wrong_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "half/supervise").mkdir(parents=True)
    (tmp_path / "half/supervise/__init__.py").touch()
    half, nowhere = tmp_path / "half", tmp_path / "nowhere"
    for path, file in ((nowhere, "supervise/__init__.py"), (half, "strategies/supervise_strategies/__init__.py")):
        with pytest.raises(SystemExit) as ended:
            command.main(["G1", "--against", str(path)])
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert f"argument --against: {str(path)!r} is not the root of a checkout of this project: there is no {file}" in said
        assert "`git worktree add PATH COMMIT`" in said


def test_a_gate_against_another_checkout_is_a_wrong_command(made: Make, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--gate", "--against", str(made("there", {}).root)])
    assert ended.value.code == 2
    assert "--gate with --against: give one of them" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["", str(HERE.root)])
def test_this_checkout_itself_is_a_wrong_command(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["G1", "--against", path])
    assert ended.value.code == 2
    assert f"argument --against: {path!r} is this checkout itself" in capsys.readouterr().err
