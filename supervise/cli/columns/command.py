"""What is shown of a log, where, and what is said if it can't be."""

from __future__ import annotations

import fnmatch
import itertools
import os
import shutil
import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from .entry import Entry
from .log import STDIN, Log, WrongInput
from .page import parts
from .table import LEAST, Columns

NAMED: Final = 3  # actors that are named where none fits


def main(
    file: str,
    *,
    only: list[str],
    last: int | None,
    follow: bool,
    width: int | None,
    page: str | None,
    jaeger: str | None,
) -> int:
    """Show it. The exit status is 2 if that can't be done, with one line on stderr that says why and what to do; 1, with one
    line too, if `only` fits no record.
    """
    log = Log(file)
    try:
        _check(file, last, follow, width, page, jaeger)
        status = _show(
            log, _Choice(only, last), follow, width, page, None if jaeger is None else f"{jaeger.rstrip('/')}/trace/"
        )
    except WrongInput as error:
        print(f"supervise: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        status = 0
    except BrokenPipeError:  # `| head` has seen enough
        _write_no_more()
        status = 0
    except OSError as error:  # those of the log, and of the page, are WrongInput
        _write_no_more()
        print(f"supervise: standard output: {error.strerror}", file=sys.stderr)
        return 2
    if complaint := log.complaint():
        print(f"supervise: {complaint}", file=sys.stderr)
    return status


def _write_no_more() -> None:
    """At the exit, either, into what takes nothing any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show(log: Log, choice: _Choice, follow: bool, width: int | None, page: str | None, traces: str | None) -> int:
    if follow:
        columns = _columns(width, traces)
        for entries in log.follow():
            columns.show(choice.of(entries), sys.stdout)
        return 0
    shown = choice.of(log.read())
    if not shown and (complaint := choice.complaint()):
        print(f"supervise: {log.where}: {complaint}", file=sys.stderr)
        return 1
    if page is None:
        _columns(width, traces).show(shown, sys.stdout)
    else:
        _write(page, parts(shown, traces))
    return 0


class _Choice:
    """Which records are shown: the last ones of the actors whose path a pattern fits, or of all, if there is no pattern."""

    def __init__(self, patterns: list[str], last: int | None) -> None:
        self._patterns = patterns
        self._last = last
        self._fits: dict[str, bool] = {}

    def of(self, entries: Iterable[Entry]) -> list[Entry]:
        """In the order of time. No more of them are held in memory than are shown."""
        fitting: Iterable[Entry] = (entry for entry in entries if self._fit(entry.actor))
        if self._last is not None:
            fitting = deque(fitting, maxlen=min(self._last, sys.maxsize))
        return sorted(fitting, key=lambda entry: entry.time)

    def _fit(self, actor: str) -> bool:
        known = self._fits.get(actor)
        if known is None:
            known = not self._patterns or any(fnmatch.fnmatchcase(actor, pattern) for pattern in self._patterns)
            self._fits[actor] = known
        return known

    def complaint(self) -> str:
        """Why nothing fits, in one line; nothing, if everything would."""
        if not self._patterns:
            return ""
        patterns = " and ".join(f"--only {pattern!r}" for pattern in self._patterns)
        if not self._fits:
            return f"there is no record that {patterns} could fit"
        named = ", ".join(itertools.islice(self._fits, NAMED))
        more = f" and {len(self._fits) - NAMED:,} more" if len(self._fits) > NAMED else ""
        return f"no record is of an actor that {patterns} fits: there are {named}{more}"


def _columns(width: int | None, traces: str | None) -> Columns:
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="replace")  # a terminal that lacks a character shows another one
    return Columns(width or shutil.get_terminal_size((120, 24)).columns, traces if sys.stdout.isatty() else None)


def _write(page: str, text: Iterable[str]) -> None:
    try:
        # What UTF-8 can't encode, a lone surrogate, is written as `\udc80`, which JSON reads again.
        with open(page, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as out:
            out.writelines(text)
    except OSError as error:
        raise WrongInput(f"--html {page}: {error.strerror}: name a file that can be written") from error


def _check(file: str, last: int | None, follow: bool, width: int | None, page: str | None, jaeger: str | None) -> None:
    if width is not None and width < LEAST:
        raise WrongInput(f"--width {width} is too narrow for one column: give {LEAST} or more")
    if last is not None and follow and file == STDIN:
        raise WrongInput(f"--last {last} can't be told while standard input is followed: leave --follow or --last out")
    if page is not None and follow:
        raise WrongInput("--html and --follow exclude each other: leave one of them out")
    if page is not None and file != STDIN and Path(page).exists() and Path(file).exists() and Path(page).samefile(file):
        raise WrongInput(f"--html {page} is the log itself: name another file")
    if jaeger is not None:
        try:
            good = urlsplit(jaeger).scheme in ("http", "https") and bool(urlsplit(jaeger).hostname)
        except ValueError:
            good = False
        if not good:
            raise WrongInput(f"--jaeger {jaeger!r} isn't a URL: give one such as http://localhost:16686")
