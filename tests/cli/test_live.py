"""The commands for a running tree, against `supervise run --live` in another process.

Tested: what each prints, as text and as JSON; exit statuses; how a tree is named, and what is said if it can't be found; the
hand of an operator; following events and records; a blocked loop; options that make no sense; a reader who has seen enough.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import pytest

from supervise import Supervisor, child
from supervise.cli.main import main
from tests.house import ROOT
from tests.live.served import live

from .command import GUARD, Command

SHOP = "tests.cli.shop:TREE"


class Shell:
    """A user's shell, with a run-time folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wishes = folder / "wishes"
        self.wishes.mkdir()
        self.variables = {
            "XDG_RUNTIME_DIR": str(folder),
            "SUPERVISE_TESTS_WISHES": str(self.wishes),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}",
        }

    def run(self, *words: str, folder: Path = ROOT) -> Command:
        return Command(*words, folder=folder, more=self.variables)

    def begin(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "supervise", *words],
            cwd=ROOT,
            env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def say(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command that comes to its end, in this process: that is a hundred times as fast."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setenv("XDG_RUNTIME_DIR", str(self.folder))
            try:
                status = main(words)
            except SystemExit as wrong:  # as argparse says that the command line is wrong
                status = int(str(wrong.code))
        return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())

    def json(self, *words: str) -> Any:
        """The same, as what it says to programs."""
        done = self.say(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def wish(self, what: str) -> Path:
        (self.wishes / what).touch()
        return self.wishes / what


@pytest.fixture
def shell() -> Iterator[Shell]:
    with TemporaryDirectory(prefix="live-") as folder:
        yield Shell(Path(folder))


@contextlib.contextmanager
def shop(shell: Shell, *options: str) -> Generator[Command]:
    with shell.run(SHOP, "--live", *options) as tree:
        tree.until_said_times("supervise: live at ", 1)
        while not shell.json("ps")["tree"]["ready"]:
            pass
        yield tree
        tree.send(signal.SIGTERM)
        assert tree.status() == 0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_tree_is_listed_explained_and_handled(shell: Shell, backend: str) -> None:
    with shop(shell, "--operate", "--backend", backend) as tree:
        listed = shell.say("ps").stdout.splitlines()
        assert listed[0].startswith("shop  pid ")
        assert "  READY  3 actors  0 queued  loop lag " in listed[0]
        assert [line.split()[:3] for line in listed[1:]] == [
            ["ACTOR", "TYPE", "STATE"],
            ["shop", "one_for_one", "running"],
            ["shop/db", "Db", "running"],
            ["shop/blocker", "Blocker", "running"],
            ["shop/clerk", "Clerk", "running"],
            ["shop/rooms", "dynamic", "running"],
        ]
        assert shell.say("tree").stdout.splitlines()[1:3] == [
            "shop (one_for_one) running, 0 of 3 restarts",
            "  db (Db) running",
        ]
        assert shell.say("explain", "db").stdout.startswith(
            "shop: db #1 ended: crashed; permanent -> restart 1 of 3 within 5 s"
        )
        assert "shop: db #1 ended" in shell.say("explain", "shop/db", "shop").stdout
        assert shell.json("explain", "db")["row"]["path"] == "shop/db"

        assert shell.say("restart", "db", "--as", "ada").stdout == "db is restarted\n"
        assert shell.say("pause", "db", "--as", "ada", "shop").stdout == "db is paused: it accepts messages, and begins none\n"
        assert shell.say("resume", "db", "shop").stdout == "db goes on\n"
        assert shell.say("stop", "db").stdout == "db is stopped\n"
        assert "! shop/db is stopped" in shell.say("ps").stdout
        assert shell.json("start", "db") == {"done": True, "text": "db is started"}
        assert shell.say("change", "db", "restart=transient", "intensity=9/60", "shop").stdout == (
            "db has restart=transient and intensity=9/60 now\n"
        )
        me = f"(uid {os.getuid()})"
        tree.until_said_times(f"shop/db: ada {me} asks to restart it", 1)
        told = shell.say("events", "--under", "db").stdout
        assert f"shop/db: ada {me} asks to restart it" in told
        assert "shop/db #2 started" in told
        assert {
            fact["path"] for fact in map(json.loads, shell.say("events", "--under", "db", "--json").stdout.splitlines())
        } == {"shop/db"}


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("restart", "dbb"), 1, "did you mean 'db'?"),
        (("restart", "db", "shp"), 3, "no tree 'shp' is served here: did you mean 'shop'? there are shop"),
        (("ps", "/no/such.sock"), 3, "/no/such.sock: there is no socket"),
        (("ps", "http://127.0.0.1:1/#token=x"), 3, "nobody answers there"),
        (("ps", "http://127.0.0.1:1"), 3, "the token is missing"),
        (("ps", "--sort", "size"), 2, "rows are sorted by"),
        (("ps", "--top", "0"), 2, "isn't a number"),
        (("ps", "--under", "db"), 2, "is an actor"),
        (("ps", "--under", "romms"), 1, "did you mean 'rooms'?"),
        (("explain", "nobody"), 1, "there is no child 'nobody' here"),
        (("explain", "a", "b", "c"), 2, "one too many"),
        (("explain", "app:TREE"), 2, "give the path of a child, too"),
        (("logs", "nobody"), 1, "there is no child 'nobody' here"),
        (("change", "db"), 2, "POLICY"),
        (("change", "db", "shop"), 2, "say what to change"),
        (("change", "db", "intensity=1/5", "intensity=1/5"), 2, "stands twice"),
        (("change", "db", "intensity=1/5", "shop", "more"), 2, "one too many"),
        (("change", "db", "intensity=lots"), 2, "isn't RESTARTS/SECONDS"),
        (("change", "db", "restart=always"), 1, "did you mean 'permanent'?"),
        (("tree", "nobody"), 3, "a tree as it is written is MODULE:TREE"),
        (("run", "--operate", SHOP), 2, "--operate needs --live"),
        (("run",), 2, "MODULE:TREE"),
    ],
)
def test_what_cant_be_done_is_one_line_with_the_cure(words: tuple[str, ...], status: int, text: str, operated: Shell) -> None:
    done = operated.say(*words)
    assert (done.returncode, done.stdout) == (status, "")
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1 or done.stderr.startswith("usage: ")


@pytest.fixture(scope="module")
def operated() -> Iterator[Shell]:
    with TemporaryDirectory(prefix="live-") as folder:
        shell = Shell(Path(folder))
        with shop(shell, "--operate"):
            yield shell


def test_no_tree_and_several_trees_are_told_apart(shell: Shell) -> None:
    assert "no tree is served here: supervise run MODULE:TREE --live serves one" in shell.say("ps").stderr
    with shop(shell), shell.run("--live", SHOP) as second:  # the word after --live is the tree
        second.until_said_times("supervise: live at ", 1)
        done = shell.say("ps")
        assert (done.returncode, done.stderr.count("(process ")) == (3, 2)
        assert "is served by several processes, so say which" in shell.say("ps", "shop").stderr
        pid = done.stderr.partition("(process ")[2].partition(")")[0]
        assert shell.json("ps", pid)["tree"]["pid"] == int(pid)
        second.send(signal.SIGTERM)
        assert second.status() == 0


def test_nobody_acts_on_a_tree_that_is_served_to_be_seen_alone(shell: Shell) -> None:
    with shop(shell):
        done = shell.say("restart", "db")
        assert (done.returncode, done.stderr) == (1, "supervise: nobody may act here: the tree is served without --operate\n")


def test_a_place_of_ones_own_and_http(shell: Shell) -> None:
    socket = shell.folder / "a.sock"
    with shell.run(SHOP, "--live", str(socket)) as tree:
        tree.until_said(f"supervise: live at {socket}")
        assert shell.json("ps", str(socket))["tree"]["name"] == "shop"
        tree.send(signal.SIGTERM)
        assert tree.status() == 0
    assert not socket.exists()
    with shell.run(SHOP, "--live", "127.0.0.1:0") as tree:
        tree.until_said_times(", and the page at http://127.0.0.1:", 1)
        url = tree.said.partition("the page at ")[2].split()[0]
        assert shell.json("ps", url)["tree"]["name"] == "shop"
        assert shell.json("ps", url.partition("/#")[0])["tree"]["name"] == "shop"  # its own user's token is found
        port = url.rpartition(":")[2].partition("/")[0]
        with shell.run(SHOP, "--live", f"127.0.0.1:{port}") as taken:
            assert taken.status() == 2
            assert f"supervise: --live: 127.0.0.1:{port}: can't listen there" in taken.said
        tree.send(signal.SIGTERM)
        assert tree.status() == 0


def test_a_tree_that_is_started_anew_by_a_reload_is_seen_at_the_same_place(shell: Shell) -> None:
    module = shell.folder / "app.py"
    doomed = "class A:\n    def __init__(self) -> None:\n        raise ValueError('not yet')\n"
    tree = "from supervise import Supervisor, child\n{}\nTREE = Supervisor('shop', child(A, name='a'))\n"
    module.write_text(tree.format(doomed))
    with shell.run("app.py:TREE", "--reload", "--live", folder=shell.folder) as running:
        running.until_said_times("the next change starts it anew", 1)
        assert not shell.json("ps")["tree"]["live"]
        aside = shell.folder / "aside"
        aside.write_text(tree.format("class A: ...\n"))
        aside.replace(module)
        while not shell.json("ps")["tree"]["ready"]:
            pass
        assert running.said.count("supervise: live at ") == 1
        running.send(signal.SIGTERM)
        assert running.status() == 0


def test_events_and_records_are_followed(shell: Shell) -> None:
    with shop(shell), shell.begin("events", "-f") as events, shell.begin("logs", "-f", "db", "--json") as logs:
        assert events.stdout is not None
        assert logs.stdout is not None
        try:
            for line in events.stdout:
                if line.endswith("  shop #1 started\n"):  # what was known before
                    break
            shell.wish("crash")
            crash = next(line for line in events.stdout if "shop/db #1 ended: crashed " in line)
            while not _has_said(logs.stdout):  # it may not have listened yet
                shell.wish("crash")
            record = json.loads(logs.stdout.readline())
            assert "(ValueError: out of order) in Db.boom (" in crash
            assert (record["path"], record["logger"], record["text"]) == ("shop/db", "shop", "it is about to fail")
        finally:
            for process in (events, logs):
                process.send_signal(signal.SIGINT)
                process.wait(GUARD)
                assert process.returncode == 130


def _has_said(stream: IO[str]) -> bool:
    return bool(select.select([stream], [], [], 1.0)[0])


def test_a_blocked_loop_is_said_with_function_and_line(shell: Shell) -> None:
    with shop(shell, "--operate"):
        block = shell.wish("block")
        try:
            while not (blocked := shell.json("ps")["loop"]["blocked"]) or blocked["for"] < 3:
                pass
            listed = shell.say("ps").stdout.splitlines()
            assert listed[1].startswith("! the event loop is blocked for ")
            assert " s by shop/blocker (Blocker.block) in Blocker.block (" in listed[1]
            assert [line.split()[0] for line in listed[3:]] == ["shop", "shop/db", "shop/blocker", "shop/clerk", "shop/rooms"]
            done = shell.say("restart", "db")
            assert (done.returncode, "is withdrawn, and won't be done" in done.stderr) == (1, True)
        finally:
            block.unlink()
        while shell.json("ps")["loop"]["blocked"]:
            pass
        assert shell.json("explain", "db")["row"].get("life", 1) == 1


def test_a_reader_who_has_seen_enough_ends_it(shell: Shell) -> None:
    with shop(shell, "--operate"), shell.begin("events", "-f") as events:
        assert events.stdout is not None
        events.stdout.readline()
        events.stdout.close()
        while events.poll() is None:
            shell.say("pause", "db")
        assert events.returncode == 0


class Idle:
    """It has nothing to do."""


@pytest.fixture
def hostile(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tree with names that move a terminal's cursor, turn its text around, and break an encoder."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shell.folder))
    names = ("\x1b[31mred", "left\u202eright", "half\udc80", "two\nlines")
    with live(Supervisor("shop", *(child(Idle, name=name) for name in names))):
        yield


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("command", ["ps", "tree"])
def test_names_that_others_chose_move_no_cursor_and_begin_no_line(shell: Shell, command: str) -> None:
    text = shell.say(command).stdout
    assert all(line.isprintable() for line in text.splitlines())
    for name in (r"\x1b[31mred", r"left\u202eright", r"half\udc80", r"two\nlines"):
        assert name in text


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("command", ["ps", "tree", "events", "explain"])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", ">/dev/null"])
def test_a_command_bears_closed_streams_and_a_poor_encoding(shell: Shell, command: str, closed: str) -> None:
    words = f'"$0" -m supervise {command}{" half" if command == "explain" else ""}'
    done = subprocess.run(
        ["bash", "-c", f"{words} {closed}", sys.executable],
        cwd=ROOT,
        env={**os.environ, **shell.variables, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=GUARD,
        check=False,
    )
    assert done.returncode == (1 if command == "explain" else 0), done.stderr  # there is no child "half"
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("hostile")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no disk that is always full")
@pytest.mark.parametrize("command", ["ps", "tree", "events"])
def test_an_answer_that_cant_be_written_is_said(shell: Shell, command: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "supervise", command],
            cwd=ROOT,
            env={**os.environ, **shell.variables},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=GUARD,
            check=False,
        )
    assert (done.returncode, done.stderr) == (74, "supervise: the answer can't be written: No space left on device\n")
