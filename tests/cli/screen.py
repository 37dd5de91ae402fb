"""A terminal: a pty, a program in it, and what that has drawn there, read as a terminal would."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
import unicodedata
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

from tests.house import ROOT

GUARD: Final = 60.0
"""Seconds after which what hangs is given up."""
_PART: Final = re.compile(
    r"\x1b\[([?>=<]?)([\d;:]*)[ -/]*([@-~])"  # CSI: parameters, and what is to be done
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP.*?\x1b\\"  # a title, and what else is a text for the terminal itself
    r"|\x1b[@-OQ-Z\\^_=>78]|([^\x1b])",
    re.S,
)


class Screen:
    """A program in a terminal of so many columns and rows. It is ended with the block, if it hasn't ended."""

    def __init__(self, *command: str, size: tuple[int, int] = (100, 30), no_colour: bool = False) -> None:
        self.columns, self.rows = size
        self.cells: list[list[str]] = []
        self.modes: set[str] = set()
        """Private modes that are on, as 1049, the other screen."""
        self.colours: bool = False
        """Whether any colour was asked for."""
        self._column = self._row = 0
        self._rest = ""
        self._clear()
        self._terminal, self._inside = pty.openpty()
        fcntl.ioctl(self._inside, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
        self.before: list[Any] = termios.tcgetattr(self._inside)
        environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
        environment |= {"TERM": "xterm-256color", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}"}
        environment |= {"NO_COLOR": "1"} if no_colour else {}
        self.process = subprocess.Popen(
            [sys.executable, *command], stdin=self._inside, stdout=self._inside, stderr=self._inside, env=environment, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._inside)
        os.close(self._terminal)

    @property
    def after(self) -> list[Any]:
        """The terminal's state now; `before` is what it was."""
        return termios.tcgetattr(self._inside)

    @property
    def text(self) -> str:
        return "\n".join("".join(line).rstrip() for line in self.cells)

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def until_seen(self, *texts: str) -> None:
        give_up = time.monotonic() + GUARD
        while not all(text in self.text for text in texts):
            ended = self.process.poll() is not None
            if not self._hear() and (ended or time.monotonic() > give_up):
                raise AssertionError(f"{texts} isn't on the screen, status {self.process.poll()}:\n{self.text}")

    def status(self) -> int:
        """Wait until it ends, and hear all of it."""
        give_up = time.monotonic() + GUARD
        while self.process.poll() is None:
            self._hear()
            if time.monotonic() > give_up:
                raise AssertionError(f"it doesn't end:\n{self.text}")
        while self._hear(0.0):
            pass
        return self.process.returncode

    # -- what a terminal does ----------------------------------------------------------------------------------------

    def _hear(self, seconds: float = 0.1) -> bool:
        ready, *_ = select.select([self._terminal], [], [], seconds)
        if not ready:
            return False
        heard = b""
        with contextlib.suppress(OSError):  # nobody has the other side open any more
            heard = os.read(self._terminal, 65536)
        self._take(self._rest + heard.decode("utf-8", "surrogateescape"))
        return bool(heard)

    def _take(self, text: str) -> None:
        at = 0
        for part in _PART.finditer(text):
            if part.start() != at:  # it isn't whole yet
                break
            at = part.end()
            self._obey(part)
        self._rest = text[at:]

    def _obey(self, part: re.Match[str]) -> None:
        private, numbers, command, character = part.groups()
        if character is not None:
            self._put(character)
            return
        if command is None:
            return
        values = [int(each) for each in re.split("[;:]", numbers) if each]
        first = max(1, values[0]) if values else 1
        match command:
            case "H" | "f":
                self._row = min(first, self.rows) - 1
                self._column = min(max(1, values[1]) if len(values) > 1 else 1, self.columns) - 1
            case "A":
                self._row = max(0, self._row - first)
            case "B":
                self._row = min(self.rows - 1, self._row + first)
            case "C":
                self._column = min(self.columns - 1, self._column + first)
            case "D":
                self._column = max(0, self._column - first)
            case "J":
                self._clear()
            case "K":
                self.cells[self._row][self._column :] = [" "] * (self.columns - self._column)
            case "h" | "l" if private == "?":
                for value in values:
                    (self.modes.add if command == "h" else self.modes.discard)(str(value))
                    if value == 1049:
                        self._clear()
            case "m" if not private:
                self.colours = self.colours or any(value in range(30, 38) or value in (38, 48) for value in values)
            case _:
                pass

    def _put(self, character: str) -> None:
        match character:
            case "\r":
                self._column = 0
            case "\n":
                self._row = min(self.rows - 1, self._row + 1)
            case "\b":
                self._column = max(0, self._column - 1)
            case _ if character.isprintable() and self._column < self.columns:
                self.cells[self._row][self._column] = character
                size = 2 if unicodedata.east_asian_width(character) in "WF" else 1
                if size == 2 and self._column + 1 < self.columns:
                    self.cells[self._row][self._column + 1] = ""
                self._column += size
            case _:
                pass

    def _clear(self) -> None:
        self.cells = [[" "] * self.columns for _ in range(self.rows)]


def python(code: str, *arguments: str) -> Sequence[str]:
    """A program of one line."""
    return ("-c", code, *arguments)
