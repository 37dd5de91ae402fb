"""What runs in the second pytest is reported by the first as its own; and where none is needed, there is none.

Tested, in a suite of its own: every outcome, its output, its warnings and the exit status; the order, and fixtures of modules;
a second process that dies, or can't begin; one that nobody needs any more; what is chosen, and what is watched.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from .house import ROOT

CONFTEST = """
import os
import pytest

pytest_plugins = ["tests.beside"]

def pytest_configure():
    from tests import beside
    beside.BESIDE = (("there/",), ("elsewhere/",))
    with open("processes", "a") as processes:
        print(os.getpid(), file=processes)

def pytest_runtest_setup(item):
    with open("ran", "a") as ran:
        print(os.getpid(), item.name, file=ran)
"""
HERE = """
def test_last(): pass
"""
THERE = r"""
import os, warnings
import pytest

@pytest.fixture(scope="module", autouse=True)
def once():
    with open("fixtures", "a") as fixtures:
        print(os.getpid(), file=fixtures)

def test_passes(pytestconfig):
    assert not pytestconfig.option.xmlpath, "the first process writes it"
    assert pytestconfig.option.basetemp != "tmp", "it is the first one's, which would be emptied"

def test_fails():
    print("said before")
    assert "\udc80" == "what was wanted"

def test_skips(): pytest.skip("for a reason")

@pytest.mark.xfail(strict=True, reason="known")
def test_xfails(): assert False

@pytest.fixture
def broken(): raise OSError("in a fixture")

def test_errs(broken): pass

def test_warns(): warnings.warn("this is old")

@pytest.mark.parametrize("text", ["\udc80", "\u00e4", "]::["])
def test_has_any_id(text): pass
"""


class Suite:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("pytest.ini", "[pytest]\n")
        self.write("conftest.py", CONFTEST)
        self.write("with_others/test_here.py", HERE)
        self.write("there/test_a.py", THERE)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=self.folder,
            env=environment,
            text=True,
            errors="replace",
            capture_output=True,
            timeout=120,
            check=False,
        )

    def ran(self) -> dict[str, list[str]]:
        """The tests of each process, that which began first first."""
        found: dict[str, list[str]] = {}
        for line in (self.folder / "ran").read_text(encoding="utf-8").splitlines():
            process, name = line.split(" ", 1)
            found.setdefault(process, []).append(name)
        return found


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


def test_each_kind_has_a_process_of_its_own_and_one_that_dies_is_told_with_its_own_tests(suite: Suite) -> None:
    suite.write("elsewhere/test_b.py", "import os\ndef test_b(): pass\ndef test_dies(): os._exit(3)\ndef test_later(): pass\n")
    done = suite.run("-rA", "-k", "last or passes or warns or test_b")
    assert done.returncode == 1, done.stdout + done.stderr
    assert _counts(done) == {"passed": 4, "deselected": 7, "warning": 1, "errors": 2}, done.stdout
    assert sorted(suite.ran().values()) == [["test_b", "test_dies"], ["test_last"], ["test_passes", "test_warns"]]
    assert "ERROR elsewhere/test_b.py::test_dies - It ended, and hadn't reported this test" in done.stdout
    one = suite.run("there", "elsewhere", "-k", "passes or test_b and not dies and not later")
    assert one.returncode == 0, one.stdout
    assert len(suite.ran()) == 5  # the first one has one of the two kinds


def test_every_outcome_is_that_of_the_first_process(suite: Suite) -> None:
    done = suite.run("-rA", "--junitxml=all.xml", "--basetemp=tmp")
    assert done.returncode == 1, done.stdout + done.stderr
    assert _counts(done) == {"failed": 1, "passed": 6, "skipped": 1, "xfailed": 1, "warning": 1, "error": 1}, done.stdout
    assert "said before" in done.stdout
    assert "what was wanted" in done.stdout
    assert re.search(r"SKIPPED \[1\] there/test_a.py:\d+: for a reason", done.stdout)
    assert "XFAIL there/test_a.py::test_xfails - known" in done.stdout
    assert "ERROR there/test_a.py::test_errs - OSError: in a fixture" in done.stdout
    assert "UserWarning: this is old" in done.stdout
    assert len(ElementTree.parse(suite.folder / "all.xml").findall(".//testcase")) == 10
    assert done.stdout.index("with_others/test_here.py") < done.stdout.index("there/test_a.py")  # it has other work meanwhile
    here, there = sorted(suite.ran().values(), key=len)
    assert here == ["test_last"]
    names = [
        "passes",
        "fails",
        "skips",
        "xfails",
        "errs",
        "warns",
        *[f"has_any_id[{text}]" for text in (r"\udc80", r"\xe4", "]::[")],
    ]
    assert there == [f"test_{name}" for name in names]
    assert len((suite.folder / "fixtures").read_text(encoding="utf-8").splitlines()) == 1


def test_a_warning_fails_as_it_is_configured(suite: Suite) -> None:
    done = suite.run("-W", "error", "-k", "warns or last")
    assert done.returncode == 1
    assert "FAILED there/test_a.py::test_warns - UserWarning: this is old" in done.stdout


def test_all_is_good_if_all_is_good(suite: Suite) -> None:
    done = suite.run("-k", "passes or skips or last")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(suite.ran()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["there"],
        ["with_others/test_here.py"],
        ["-k", "has_any_id"],
        ["there/test_a.py::test_passes"],
        ["--pdb", "-k", "passes or last"],
        ["-s"],
    ],
    ids=" ".join,
)
def test_there_is_one_process_where_one_is_enough_or_is_watched(suite: Suite, arguments: list[str]) -> None:
    suite.run(*arguments)
    assert len(suite.ran()) == 1
    assert len((suite.folder / "processes").read_text(encoding="utf-8").splitlines()) == 1


def test_what_is_only_collected_keeps_its_order(suite: Suite) -> None:
    done = suite.run("--collect-only", "-q")
    assert done.stdout.splitlines()[-3] == "with_others/test_here.py::test_last"
    assert not (suite.folder / "ran").exists()


def test_whatever_a_second_process_that_dies_owes_is_an_error(suite: Suite) -> None:
    suite.write("there/test_b.py", "import os\n\ndef test_dies(): os.abort()\n\ndef test_later(): pass\n")
    done = suite.run("-k", "passes or dies or later or last")
    assert done.returncode == 1
    assert _counts(done) == {"passed": 2, "errors": 2, "deselected": 8}, done.stdout
    assert "ERROR there/test_b.py::test_dies - It ended, and hadn't reported this test" in done.stdout
    assert "ERROR there/test_b.py::test_later - It ended, and hadn't reported this test" in done.stdout
    assert "with status -6" in done.stdout
    assert "in _run_code" in done.stdout  # the end of the stack that Python writes then, of which the beginning may be too much


def test_a_second_process_that_cant_begin_says_why(suite: Suite) -> None:
    hook = "def pytest_collection(session):\n    if session.config.option.beside: raise pytest.UsageError('not like this')\n"
    suite.write("conftest.py", CONFTEST + hook)
    done = suite.run("-k", "passes or last")
    assert done.returncode == 1
    assert "with status 4" in done.stdout, done.stdout
    assert "ERROR: not like this" in done.stdout


def test_a_second_process_that_ends_badly_after_its_tests_is_an_error(suite: Suite) -> None:
    hook = "def pytest_sessionfinish(session):\n    if session.config.option.beside: raise OSError('in the end')\n"
    suite.write("conftest.py", CONFTEST + hook)
    done = suite.run("-k", "passes or last")
    assert done.returncode == 1
    assert _counts(done) == {"passed": 2, "error": 1, "deselected": 8}, done.stdout
    assert "OSError: in the end" in done.stdout


@pytest.mark.parametrize(("end", "status"), [("assert False", 1), ("raise KeyboardInterrupt", 2)])
def test_a_second_process_that_nobody_needs_any_more_is_killed_with_what_it_has_started(
    suite: Suite, end: str, status: int
) -> None:
    suite.write(
        "there/test_a.py",
        """
import json, os, subprocess, time
def test_hangs():
    sleeps = subprocess.Popen(["sleep", "600"])
    with open("part", "w") as file:
        json.dump([os.getpid(), sleeps.pid], file)
    os.rename("part", "began")
    sleeps.wait()
""",
    )
    suite.write(
        "with_others/test_here.py",
        f"""
import os, time
def test_here():
    while not os.path.exists("began"):
        time.sleep(0.01)
    {end}
def test_never(): pass
""",
    )
    done = suite.run("-x")
    assert done.returncode == status, done.stdout
    assert not any(map(_runs, json.loads((suite.folder / "began").read_text(encoding="utf-8"))))


def _counts(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    return {what: int(number) for number, what in re.findall(r"(\d+) ([a-z]+)", done.stdout.splitlines()[-1])}


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
