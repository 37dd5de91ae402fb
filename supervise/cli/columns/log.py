"""The records of one log: a file, one that still grows, or standard input. What is wrong with it is said in one line."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import IO, Any, Final, cast

from .entry import Entry, entry_of
from .growing import Growing

STDIN: Final = "-"
_WRITE_SO: Final = "log with supervise.telemetry.json_handler()"
_BEGINNING: Final = '{"time": "'  # of each record, as json_handler() writes it
_NONE: Final = object()  # no JSON
_NAME_A_LOG: Final = "name a file of JSON records, as json_handler() writes it"


class WrongInput(Exception):
    """What was asked can't be done; the text is the one line to print."""


class Log:
    """One log, which is read once. A record without a time stands after the one before it, and is counted."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.where: str = "standard input" if file == STDIN else file
        self._number = 0  # of the line
        self._before = datetime.min.replace(tzinfo=UTC)
        self._undated = 0
        self._first_undated = ""

    def read(self) -> Iterator[Entry]:
        """Its records. A last line that is cut off, as a process leaves that was killed, is left out and said."""
        with self._opened() as stream:
            yield from self.parse(stream)

    def follow(self) -> Iterator[Iterable[Entry]]:
        """The records that are there, then each that is written, until the input ends: a file never does. It is followed by
        its name, over its rotation.
        """
        if self._file == STDIN:
            with self._opened() as stream:
                yield from ([entry] for entry in self.parse(stream))
            return
        with Growing(self._file, self._named(), self._begin_anew) as lines:
            yield self.parse(lines.there())
            yield from ([entry] for entry in self.parse(lines.coming()))

    def parse(self, lines: Iterable[str]) -> Iterator[Entry]:
        """The records of some lines."""
        for line in self._readable(lines):
            self._number += 1
            if not line.strip():
                continue
            found = _value_of(line)
            if found is _NONE:
                found = _appended_to(line)
                if found is not _NONE:
                    print(f"supervise: {self._here} begins with a record that is cut off, and is left out", file=sys.stderr)
                elif line.endswith("\n"):
                    raise WrongInput(f"{self._here} isn't JSON: {_WRITE_SO}, or `supervise run --log`")
                else:
                    self._say_cut_off()
                    return
            if not isinstance(found, dict):
                raise WrongInput(f"{self._here} is no JSON object: {_WRITE_SO}, or `supervise run --log`")
            entry = entry_of(cast("dict[str, Any]", found), self._before)
            self._before = entry.time
            if not entry.dated:
                self._undated += 1
                self._first_undated = self._first_undated or f"line {self._number}"
            yield entry

    def complaint(self) -> str:
        """What was odd in all that was read so far, in one line; nothing, if all was well."""
        if not self._undated:
            return ""
        who = "1 record has" if self._undated == 1 else f"{self._undated:,} records have"
        which = "in" if self._undated == 1 else "the first in"
        return (
            f"{self.where}: {who} no `time` in ISO 8601, {which} {self._first_undated}; "
            f"such a one stands after the record before it: {_WRITE_SO}"
        )

    @property
    def _here(self) -> str:
        return f"{self.where}: line {self._number}"

    def _begin_anew(self, cut_off: bool) -> None:
        """The file that is followed was cut, or another one has its name."""
        if cut_off:
            self._number += 1
            self._say_cut_off()
        self._number = 0
        if self._first_undated and " of " not in self._first_undated:
            self._first_undated += " of what had this name before"

    def _say_cut_off(self) -> None:
        print(f"supervise: {self._here}, the last one, is cut off, and left out", file=sys.stderr)

    def _named(self) -> IO[bytes]:
        try:
            return open(self._file, "rb")
        except OSError as error:
            raise WrongInput(f"{self.where}: {error.strerror}: {_NAME_A_LOG}") from error

    def _opened(self) -> AbstractContextManager[IO[str]]:
        if self._file != STDIN:
            return io.TextIOWrapper(self._named(), encoding="utf-8")
        stream = cast("IO[str] | None", sys.stdin)
        if stream is None:
            raise WrongInput(f"{self.where} is closed: {_NAME_A_LOG}")
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(encoding="utf-8")  # whatever the terminal's own is
        return nullcontext(stream)

    def _readable(self, lines: Iterable[str]) -> Iterator[str]:
        try:
            yield from lines
        except OSError as error:
            raise WrongInput(f"{self.where}: {error.strerror}: {_NAME_A_LOG}") from error
        except UnicodeDecodeError as error:
            raise WrongInput(f"{self.where}: not UTF-8: {_NAME_A_LOG}") from error


def _value_of(line: str) -> object:
    """What stands there in JSON."""
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError):
        return _NONE
    return found


def _appended_to(line: str) -> object:
    """The record at the end of a line whose beginning is cut off: a process was killed, and the next one has gone on."""
    begin = line.find(_BEGINNING, 1)
    while begin > 0:
        found = _value_of(line[begin:])
        if found is not _NONE:
            return found
        begin = line.find(_BEGINNING, begin + 1)
    return _NONE
