"""Whole files and folders of tests that run in pytests of their own, beside the first: on the second processor.

The first one has all others, and takes their reports for its own, once it has nothing else to do. So what is said at the end,
the exit status, `-x` and all options are as if there were one process. There really is only one where the tests that were
chosen are all of one kind, or where somebody wants to watch them.

The reports come through a file: however late they are read, nobody who writes them is held up, and no thread has to read them,
which tests would see.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

BESIDE: tuple[tuple[str, ...], ...] = (
    # Most of these wait for threads, browsers and terminals, and need little of a processor; links need one of their own.
    (
        "tests/cli/test_top",
        "tests/live/",
        "tests/remote/",
        "tests/wire/",
    ),
    # So do most of these, which start programs, or play for long.
    (
        "tests/cli/test_columns_page.py",
        "tests/cli/test_kill_loop.py",
        "tests/documentation/",
        "tests/examples/test_observability.py",
        "tests/examples/test_programs.py",
        "tests/telemetry/test_tracing.py",
        "tests/testing/test_left_over.py",
        "tests/testing/test_plugin.py",
        "tests/tree/test_account_property.py",
        "tests/tree/test_hostile_property.py",
        "tests/tree/test_interrupts.py",
        "tests/typing/",
    ),
    # They start programs, whose work they are.
    (
        "tests/cli/",
        "tests/examples/",
        "tests/test_beside.py",
    ),
)
"""As the ids of tests begin, for each process; the first that fits has it. A folder ends in a slash."""

WATCHED: Final = ("collectonly", "setuponly", "setupshow", "trace", "usepdb")
END_OF_IT: Final = 4000  # characters of what another process said, that fit on a screen

_running: Final[list[Other]] = []


def own_processes() -> set[int]:
    """What runs beside the tests, for those that look at the children of this process."""
    return {other.pid for other in _running}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--beside", metavar="FOLDER", help=argparse.SUPPRESS)  # makes a pytest one of the others


def pytest_configure(config: pytest.Config) -> None:
    if folder := config.getoption("beside", None):
        config.pluginmanager.register(Reporter(config, Path(folder)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Those that run beside are the last: meanwhile there is other work."""
    yield
    if _run_beside(config, items):
        items.sort(key=_kind)


def pytest_collection_finish(session: pytest.Session) -> None:
    for kind, chosen in _run_beside(session.config, session.items).items():
        other = Other(session.config, kind, chosen)
        session.config.pluginmanager.register(other)
        _running.append(other)


def _kind(item: pytest.Item) -> int:
    return kind_of(item.nodeid)


def kind_of(name: str) -> int:
    """Which process a test or a file is for, from 1; 0: the first one."""
    return next((number for number, begins in enumerate(BESIDE, 1) if name.startswith(begins)), 0)


def _run_beside(config: pytest.Config, items: list[pytest.Item]) -> dict[int, list[str]]:
    """What other processes are begun for, by kind: nothing, in one of them itself. The first one keeps the first kind."""
    watched = any(config.getoption(option, False) for option in WATCHED) or config.getoption("capture", "no") == "no"
    one_of_several = config.getoption("beside", None) or hasattr(
        config, "workerinput"
    )  # this is how pytest-xdist marks its own
    if watched or one_of_several:
        return {}
    chosen: dict[int, list[str]] = {}
    for item in items:
        chosen.setdefault(_kind(item), []).append(item.nodeid)
    return {kind: chosen[kind] for kind in sorted(chosen)[1:]}


class Other:
    """Another process, as the first one sees it."""

    def __init__(self, config: pytest.Config, kind: int, chosen: list[str]) -> None:
        self._config = config
        self._number = kind
        self._came: dict[str, list[dict[str, Any]]] = {}
        self._done: set[str] = set()
        self._failed = False
        self._incomplete = b""
        self._folder = TemporaryDirectory(prefix="beside-")
        folder = Path(self._folder.name)
        (folder / "chosen").write_text(json.dumps({"kind": kind, "chosen": chosen}), encoding="ascii")
        (folder / "reports").touch()
        self._said = (folder / "said").open("w+b")
        self._reports = (folder / "reports").open("rb")
        # What it would write to, too. An option that is given again replaces what was given before.
        own = [
            f"--beside={folder}",
            *(["-o", f"cache_dir={folder}"] if config.pluginmanager.hasplugin("cacheprovider") else []),
        ]
        files = {"basetemp": f"--basetemp={folder / 'tmp'}", "xmlpath": "--junitxml=", "log_file": "--log-file="}
        own += [instead for option, instead in files.items() if config.getoption(option, None)]
        self._program = subprocess.Popen(
            [sys.executable, "-m", "pytest", *map(str, config.invocation_params.args), *own],
            cwd=config.invocation_params.dir,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid: int = self._program.pid

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        if _kind(item) != self._number:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports_of(item):
            self._failed |= report.failed
            item.ihook.pytest_runtest_logreport(report=report)
        is_last = nextitem is None or _kind(nextitem) != self._number
        if is_last and self._program.wait() and not self._failed:
            item.ihook.pytest_runtest_logreport(report=self._error(item, "It ended badly, though no test had failed"))
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Whatever still runs: nobody waits for it."""
        _running.remove(self)
        if self._program.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._program.wait()
        self._said.close()
        self._reports.close()
        self._folder.cleanup()

    def _reports_of(self, item: pytest.Item) -> Iterator[Any]:
        while item.nodeid not in self._done:
            ended = self._program.poll() is not None  # before the look at what it has written by then
            if not self._read():
                if ended:
                    yield self._error(item, "It ended, and hadn't reported this test")
                    return
                time.sleep(0.02)
        for data in self._came.pop(item.nodeid, []):
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
            for name in ("location", "longrepr"):  # JSON knows no tuples
                if isinstance(getattr(report, name), list):
                    setattr(report, name, tuple(getattr(report, name)))
            yield report

    def _read(self) -> bool:
        read = self._reports.read()
        *lines, self._incomplete = (self._incomplete + read).split(b"\n")
        for line in lines:
            kind, name, data = json.loads(line)
            if kind == "report":
                self._came.setdefault(name, []).append(data)
            elif kind == "warning":
                self._warn(name, *data)
            else:
                self._done.add(name)
        return bool(read)

    def _warn(self, name: str, message: str, category: str, file: str, line: int) -> None:
        warning = warnings.WarningMessage(Warning(message), type(category, (Warning,), {}), file, line)
        told = {"warning_message": warning, "when": "runtest", "nodeid": name, "location": None}
        self._config.hook.pytest_warning_recorded.call_historic(kwargs=told)

    def _error(self, item: pytest.Item, what: str) -> pytest.TestReport:
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")[-END_OF_IT:]
        words = f"{what}: the process beside, with status {self._program.returncode}. The end of what it said:\n{said}"
        return pytest.TestReport(item.nodeid, item.location, {}, "failed", words, "setup")


class Reporter:
    """In one of the others: it runs what the first one has chosen, in the same order, and reports it."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self._config = config
        told = json.loads((folder / "chosen").read_bytes())
        self._number: int = told["kind"]
        self._order = {name: n for n, name in enumerate(told["chosen"])}
        self._reports = (folder / "reports").open("a", encoding="ascii")
        self._parent = os.getppid()

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Others needn't even be imported."""
        if collection_path.suffix != ".py" or not collection_path.is_relative_to(self._config.rootpath):
            return None
        return None if kind_of(collection_path.relative_to(self._config.rootpath).as_posix()) == self._number else True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None]:
        """All have been chosen: whatever else would choose among them has done so, in the first process."""
        collected = [*items]
        yield
        items[:] = sorted((one for one in collected if one.nodeid in self._order), key=lambda one: self._order[one.nodeid])

    def pytest_runtest_logstart(self) -> None:
        if os.getppid() != self._parent:
            pytest.exit("the first process is gone")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._write("report", report.nodeid, data)

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, when: str, nodeid: str) -> None:
        one = warning_message
        if when == "runtest":  # others come up in the first process, too
            self._write("warning", nodeid, [str(one.message), one.category.__name__, one.filename, one.lineno])

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._write("done", nodeid, None)

    def pytest_unconfigure(self) -> None:
        self._reports.close()

    def _write(self, kind: str, name: str, data: object) -> None:
        print(json.dumps([kind, name, data], default=str), file=self._reports, flush=True)
