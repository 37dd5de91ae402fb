"""`supervise top` in a real terminal, by its own way in; and all that it says where it can't draw."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.machinery import ModuleSpec
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM
from socket import socket as unix_socket
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from anyio.from_thread import start_blocking_portal

from supervise import Supervisor, child
from supervise.cli.top import command
from supervise.live import serve
from tests.doubles import Scribe
from tests.house import ROOT

from .screen import Screen, python

MAIN: Final = """
import sys
from supervise.cli.main import main
sys.exit(main(["top", *sys.argv[1:], "--as", "ada"]))
"""


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def socket(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Of a tree that runs in a thread."""
    tree = Supervisor("shop", child(Scribe, name="界隈"), child(Scribe, name="scribe", capacity=7))
    with TemporaryDirectory(prefix="top-") as folder, start_blocking_portal(request.param) as portal:
        path = Path(folder) / "s.sock"
        with portal.wrap_async_context_manager(tree) as app, portal.wrap_async_context_manager(serve(app, path, operate=True)):
            yield path


def test_it_is_seen_and_left_and_the_terminal_is_as_it_was(socket: Path) -> None:
    with Screen(*python(MAIN, str(socket))) as screen:
        screen.until_seen("shop  pid", "READY", "▾ shop", "界隈", "scribe", "0/7", "q quit")
        assert "1049" in screen.modes  # the other screen: what was there before comes back
        assert screen.cells[2][:5] == [*"actor"]
        assert "loop lag" in screen.text.split("\n")[0]
        screen.type("jj\r")
        screen.until_seen("policy", "permanent", "a crash")
        screen.type("\x1b")
        screen.until_seen("1-for-1")
        screen.type("/scr\r")
        screen.until_seen("scribe")
        screen.type("q")
        assert screen.status() == 0
        assert screen.after == screen.before
        assert not screen.modes & {"1049", "1000", "1003", "1006", "2004"}
        assert "25" in screen.modes  # the cursor is seen again


@pytest.mark.parametrize("key", ["\x03", None], ids=["ctrl-c", "SIGTERM"])
def test_however_it_ends_the_terminal_is_as_it_was(socket: Path, key: str | None) -> None:
    with Screen(*python(MAIN, str(socket))) as screen:
        screen.until_seen("READY", "scribe")
        if key is None:
            screen.process.send_signal(signal.SIGTERM)
        else:
            screen.type(key)
        assert screen.status() == 0
        assert (screen.after, "1049" in screen.modes) == (screen.before, False)


@pytest.mark.parametrize("no_colour", [False, True])
def test_colours_are_for_what_is_wrong_and_none_where_none_are_wanted(socket: Path, no_colour: bool) -> None:
    with Screen(*python(MAIN, str(socket)), no_colour=no_colour) as screen:
        screen.until_seen("READY", "scribe")
        screen.type("jp")
        screen.until_seen("! paused: 界隈")
        assert screen.colours is not no_colour
        screen.type("p")
        screen.until_seen("goes on")
        screen.type("q")
        assert screen.status() == 0


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}", **variables}
    program = [sys.executable, "-c", MAIN, *arguments]
    return subprocess.run(
        program, capture_output=True, text=True, env=environment, timeout=60, stdin=subprocess.DEVNULL, check=False, cwd=ROOT
    )


def test_once_it_is_plain_text(socket: Path) -> None:
    done = run(str(socket), "--once", COLUMNS="90")
    assert (done.returncode, done.stderr) == (0, "")
    texts = done.stdout.split("\n")
    assert texts[0].startswith("shop  pid")
    assert [text.split()[0] for text in texts if text][1:] == ["actor", "▾", "界隈", "scribe"]
    assert run(str(socket), "--once", COLUMNS="90", PYTHONIOENCODING="ascii").stdout.split("\n")[2].startswith("v shop")


def test_without_textual_it_is_plain_text_all_the_same(socket: Path) -> None:
    hidden = f"import sys; sys.modules['textual'] = sys.modules['rich'] = None\n{MAIN}"
    program = [sys.executable, "-c", hidden, str(socket), "--once"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}"}
    done = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=60, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_where_there_is_no_terminal_it_says_what_to_do(socket: Path) -> None:
    done = run(str(socket))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "supervise: top draws in a terminal, and here is none: take supervise top --once\n"


def test_without_textual_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def find_spec(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    assert command.main(None, once=False, every=1.0, who="") == 2
    assert capsys.readouterr().err == "supervise: top needs Textual: pip install textual; or take supervise top --once\n"


@pytest.mark.parametrize("every", [0.0, -1.0, 0.2, 3601.0, float("nan")])
def test_a_period_that_no_tree_would_take(every: float, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(None, once=True, every=every, who="") == 2
    assert "say seconds, from 0.25 to 3600" in capsys.readouterr().err


@pytest.mark.parametrize("once", [True, False])
def test_where_nobody_answers(
    once: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    assert command.main(str(tmp_path / "no.sock"), once=once, every=1.0, who="") == 3
    assert capsys.readouterr().err == f"supervise: {tmp_path / 'no.sock'}: there is no socket (No such file or directory)\n"


@pytest.mark.parametrize("once", [True, False])
def test_where_a_socket_was_left_by_the_dead(
    once: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.chdir(tmp_path)
    with unix_socket(AF_UNIX, SOCK_STREAM) as left:
        left.bind("left.sock")
    assert command.main("left.sock", once=once, every=1.0, who="") == 3
    assert capsys.readouterr().err == "supervise: left.sock: nobody answers there (Connection refused)\n"


def test_of_several_trees_one_has_to_be_said_where_none_can_be_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        monkeypatch.setenv("XDG_RUNTIME_DIR", stack.enter_context(TemporaryDirectory(prefix="top-")))
        portal = stack.enter_context(start_blocking_portal())
        for name in ("one", "two"):
            app = stack.enter_context(portal.wrap_async_context_manager(Supervisor(name, child(Scribe, name="scribe"))))
            stack.enter_context(portal.wrap_async_context_manager(serve(app)))
        assert command.main(None, once=True, every=1.0, who="") == 2
        assert command.main("two", once=True, every=1.0, who="") == 0
    out, err = capsys.readouterr()
    assert [line.split("(")[-1].split(",")[0].rstrip(")") for line in err.split("\n")[1:3]] == ["one", "two"]
    assert err.startswith("supervise: 2 trees are served here, so say which")
    assert out.startswith("two  pid")
