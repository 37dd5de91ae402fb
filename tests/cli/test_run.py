"""`supervise run` in real processes, on the real clock.

Tested: SIGTERM and SIGINT stop in order, status 0; a tree that gives up, status 1 with its chain; one that doesn't start;
a second signal; something unstoppable; wrong MODULE:TREE, status 2 in one line; what the user's code raises, with its lines;
spans that ended before the end are delivered, and a collector holds up nothing; a JSON log.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.collector import Collector
from tests.side_by_side import begun, side_by_side

__all__ = ("begun",)

ROOT = Path(__file__).parents[2]
GUARD = 30.0  # seconds after which a process that hangs is given up; each takes about one


BACKENDS = ("asyncio", "trio")
on_both = pytest.mark.parametrize("backend", BACKENDS)


@contextmanager
def running(*arguments: str, **variables: str) -> Generator[subprocess.Popen[str], None, None]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}", **variables}
    command = [sys.executable, "-m", "supervise.cli.main", "run", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def until(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for said in process.stdout:
        if said.strip() == line:
            return
    raise AssertionError(f"it ended without saying {line!r}")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@on_both
@side_by_side
def test_a_signal_stops_the_tree_in_reverse_order_with_status_0(backend: str, signum: signal.Signals) -> None:
    with running("tests.cli.trees:ORDERLY", "--backend", backend) as process:
        until(process, "start b")
        process.send_signal(signum)
        out, _ = process.communicate(timeout=GUARD)
        assert out.split("\n")[:2] == ["stop b", "stop a"]
        assert process.returncode == 0


@on_both
@side_by_side
def test_a_tree_that_gives_up_ends_with_status_1_and_its_chain_of_crashes(backend: str) -> None:
    with running("tests.cli.trees:DOOMED", "--backend", backend) as process:
        _, err = process.communicate(timeout=GUARD)
        assert process.returncode == 1
        chain = err[err.index("gave up restarting") :]
        assert "ValueError: doomed" in chain
        first, second, third = (chain.index(f"  {n}. ") for n in (1, 2, 3))
        assert "restart 1 of 1" in chain[first:second]
        assert "app/below: doomed #2" in chain[second:third]
        assert "gives up" in chain[third:]


@on_both
@side_by_side
def test_a_tree_that_does_not_start_ends_with_status_1_and_the_cause(backend: str) -> None:
    with running("tests.cli.trees:UNBORN", "--backend", backend) as process:
        _, err = process.communicate(timeout=GUARD)
        assert process.returncode == 1
        lines = err[err.index("Traceback") :].splitlines()
        assert lines[1].startswith(f'  File "{ROOT}/tests/cli/trees.py", line ')
        assert lines[2:4] == ['    raise OSError("no such device")', "OSError: no such device"]
        assert lines[-1] == "supervise: supervisor 'app' didn't start: child 'unborn' didn't start: OSError: no such device"
        assert err.count("Traceback") == 1


@on_both
@side_by_side
def test_a_start_that_fails_further_down_is_told_from_the_users_first_line_on(backend: str) -> None:
    with running("tests.cli.trees:UNREADY", "--backend", backend) as process:
        _, err = process.communicate(timeout=GUARD)
        assert process.returncode == 1
        lines = err[err.index("Traceback") :].splitlines()
        assert [line.rpartition(", ")[2] for line in lines if line.startswith("  File")] == ["in __aenter__", "in _look"]
        assert [line for line in lines if line.startswith("  File") and f"{ROOT}/tests/cli/trees.py" not in line] == []
        why = "child 'below' didn't start: child 'unready' didn't start: OSError: no such device"
        assert "OSError: no such device" in lines
        assert lines[-1] == f"supervise: supervisor 'app' didn't start: {why}"


@pytest.mark.parametrize("level", ["error", "critical"])
@on_both
@side_by_side
def test_why_a_tree_did_not_start_is_told_with_one_traceback_whatever_the_log_shows(backend: str, level: str) -> None:
    with running("tests.cli.trees:UNREADY", "--backend", backend, "--log-level", level) as process:
        _, err = process.communicate(timeout=GUARD)
        assert (process.returncode, err.count("Traceback"), err.count("in _look")) == (1, 1, 1)


@on_both
@side_by_side
def test_a_start_that_fails_before_the_users_first_line_is_one_line(backend: str) -> None:
    with running("tests.cli.trees:WRONG_ARGUMENTS", "--backend", backend, "--log-level", "critical") as process:
        _, err = process.communicate(timeout=GUARD)
        assert process.returncode == 1
        assert len(err.splitlines()) == 1, err
        assert err.startswith(
            "supervise: supervisor 'app' didn't start: child 'below' didn't start: child 'a' didn't start: Type"
        )


@on_both
@side_by_side
def test_a_second_signal_cancels_everything_at_once(backend: str) -> None:
    with running("tests.cli.trees:SLOW", "--backend", backend) as process:
        until(process, "start a")
        process.send_signal(signal.SIGTERM)
        until(process, "stopping a")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=GUARD)
        assert process.returncode == 128 + signal.SIGTERM


@on_both
@side_by_side
def test_a_stop_that_takes_longer_than_the_budget_is_cancelled(backend: str) -> None:
    with running("tests.cli.trees:SLOW", "--backend", backend, "--shutdown-budget", "0.2") as process:
        until(process, "start a")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=GUARD)
        assert process.returncode == 0


@on_both
@side_by_side
def test_what_outlives_its_cancellation_is_named_and_left_with_status_70(backend: str) -> None:
    with running("tests.cli.trees:DEAF", "--backend", backend, "--shutdown-budget", "0.1") as process:
        until(process, "start a")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=GUARD)
        assert process.returncode == 70
        assert "app/a #1 outlived its cancellation" in err


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("tests.cli.trees", ["'tests.cli.trees'", "MODULE:TREE"]),
        (":ORDERLY", ["':ORDERLY'", "MODULE:TREE"]),
        ("no_such_module:TREE", ["there is no module 'no_such_module'", "or install it"]),
        ("no/such/file.py:TREE", ["there is no folder 'no/such'"]),
        ("tests.cli.trees:ODRERLY", ["'ODRERLY'", "did you mean 'ORDERLY'?"]),
        ("tests.cli.trees:NOTHING", ["'NOTHING'", "its trees are 'ORDERLY', "]),
        ("tests.cli.trees:NUMBER", ["int", "name a Supervisor"]),
    ],
)
@side_by_side
def test_a_wrong_target_is_one_line_that_names_it_and_the_cure_with_status_2(target: str, words: list[str]) -> None:
    with running(target) as process:
        _, err = process.communicate(timeout=GUARD)
        assert process.returncode == 2
        assert len(err.strip().split("\n")) == 1, err
        for word in words:
            assert word in err


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (("tests.cli.broken_module:TREE",), ["broken_module.py", "RuntimeError: broken on purpose", "can't be imported"]),
        (("tests.cli.factories:broken", "--factory"), ["factories.py", "return make(str(1 / 0))", "the factory raised"]),
    ],
)
@side_by_side
def test_what_the_users_own_code_raises_is_told_with_its_lines_and_status_2(arguments: list[str], lines: list[str]) -> None:
    with running(*arguments) as process:
        _, err = process.communicate(timeout=GUARD)
        assert process.returncode == 2
        assert err.startswith("Traceback (most recent call last):\n")
        assert f'File "{ROOT / "supervise"}' not in err
        assert [line for line in lines if line not in err] == []


@on_both
@side_by_side
def test_a_tree_comes_from_a_file_or_a_factory_too(backend: str) -> None:
    for arguments in (("tests/cli/trees.py:ORDERLY",), ("tests.cli.factories:make", "--factory")):
        with running(*arguments, "--backend", backend) as process:
            until(process, "start a")
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=GUARD)
            assert process.returncode == 0


class Serving:
    """Arguments of the command and the environment, as one who starts it chooses them."""

    def __init__(self, how: str, endpoint: str) -> None:
        self.arguments = ["--otlp", endpoint] if how == "--otlp" else []
        self.environment = {} if how == "--otlp" else {how: endpoint}


@pytest.mark.parametrize("how", ["--otlp", "OTEL_EXPORTER_OTLP_ENDPOINT"])
@on_both
def test_a_signal_in_mid_traffic_delivers_the_spans_that_ended_before(backend: str, how: str) -> None:
    with Collector() as collector:
        serving = Serving(how, collector.endpoint)
        with running("tests.cli.observed:BUSY", "--backend", backend, *serving.arguments, **serving.environment) as process:
            until(process, "100")
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=GUARD)
            assert process.returncode == 0, err
        ended = [span.attributes["n"] for span in collector.spans if span.name == "work"]
        assert ended == [*range(len(ended))]
        assert len(ended) >= 100
        assert {span.service for span in collector.spans} == {"app"}
        assert collector.spans[-1].name == "stop"  # of the tree's own end


@contextmanager
def on_both_at_once(tree: str, *arguments: str) -> Generator[dict[str, subprocess.Popen[str]], None, None]:
    with ExitStack() as both:
        yield {name: both.enter_context(running(tree, "--backend", name, *arguments)) for name in BACKENDS}


def test_a_collector_that_hangs_holds_up_neither_work_nor_the_end() -> None:
    with Collector("hangs") as collector, on_both_at_once("tests.cli.observed:BUSY", "--otlp", collector.endpoint) as both:
        for process in both.values():
            until(process, "100")
            process.send_signal(signal.SIGTERM)
        for backend, process in both.items():
            _, err = process.communicate(timeout=GUARD)
            assert process.returncode == 0, (backend, err)
            assert err.count("spans can't be delivered") == 1, backend
            assert "Traceback" not in err, backend


def test_what_is_left_behind_with_status_70_delivers_its_spans_too() -> None:
    with Collector() as collector:
        arguments = ["--shutdown-budget", "0.1", "--otlp", collector.endpoint]
        with on_both_at_once("tests.cli.observed:DEAF_AND_TRACED", *arguments) as both:
            for process in both.values():
                until(process, "start a")
                process.send_signal(signal.SIGTERM)
            for backend, process in both.items():
                _, err = process.communicate(timeout=GUARD)
                assert process.returncode == 70, (backend, err)
        assert [span.name for span in collector.spans].count("start a") == 2


@on_both
def test_the_log_is_json_and_says_the_whole_story(backend: str, tmp_path: Path) -> None:
    log = tmp_path / "app.jsonl"
    with running("tests.cli.trees:DOOMED", "--backend", backend, "--log", str(log)) as process:
        process.communicate(timeout=GUARD)
        assert process.returncode == 1
    records = [json.loads(line) for line in log.read_text().splitlines()]
    story = [(r["actor"], r["incarnation"], r["event"]["event"]) for r in records if r.get("actor") == "app/below/doomed"]
    assert story == [("app/below/doomed", n, event) for n in (1, 2) for event in ("Started", "Stopped", "Decided")]
    errors = [r["event"].get("action", r["event"]["event"]) for r in records if r["level"] == "ERROR"]
    assert errors == ["Stopped", "give_up", "give_up"]
    assert "in _crash" in next(r for r in records if r["level"] == "ERROR")["exception"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--otlp", "localhost:4318"], ["--otlp: 'localhost:4318' isn't the URL", "http://127.0.0.1:4318"]),
        (["--log", "no/such/folder/app.jsonl"], ["--log no/such/folder/app.jsonl: No such file", "that can be written"]),
    ],
)
@side_by_side
def test_telemetry_that_can_not_be_is_one_line_with_the_cure_and_status_2(arguments: list[str], words: list[str]) -> None:
    with running("tests.cli.trees:ORDERLY", *arguments) as process:
        out, err = process.communicate(timeout=GUARD)
        assert (process.returncode, out) == (2, "")
        assert len(err.strip().split("\n")) == 1, err
        for word in words:
            assert word in err
