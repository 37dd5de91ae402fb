"""`supervise columns`: a log of JSON records with one column for each actor, in the order of time.

It reads what `supervise.telemetry.json_handler` writes. In a terminal the columns are made as wide as they can be; actors
that find no room share the last one. With `--html` it writes one page that needs nothing else. What is in a log was written
by others: control characters never reach the terminal, and everything is escaped in the page.
"""

from __future__ import annotations

import fnmatch
import html
import itertools
import json
import os
import shutil
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

NARROWEST: Final = 18  # characters of a column
TIME: Final = 12  # HH:MM:SS.mmm
OUTSIDE: Final = "-"  # the column of what no actor said
POLL: Final = 0.1  # seconds between two looks at a file that is followed
_GAP: Final = " | "


class WrongInput(Exception):
    """What was asked can't be done; the text is the one line to print."""


class Entry(NamedTuple):
    """One record, as far as it is shown."""

    time: datetime
    actor: str
    incarnation: int
    level: str
    message: str
    trace_id: str
    more: str
    """The traceback, for the page."""

    @property
    def clock(self) -> str:
        return f"{self.time:%H:%M:%S}.{self.time.microsecond // 1000:03d}"

    @property
    def text(self) -> str:
        """What stands in the column: the path is its heading already."""
        message = self.message
        for shown in (f"{self.actor} #{self.incarnation} ", f"{self.actor}: ", f"{self.actor} "):
            if self.actor != OUTSIDE and message.startswith(shown):
                message = message[len(shown) :]
                break
        life = f"#{self.incarnation} " if self.incarnation else ""
        mark = "" if self.level in ("DEBUG", "INFO") else f"{self.level}: "
        return f"{life}{mark}{message}"


def main(file: str, *, only: list[str], follow: bool, width: int | None, page: str | None, jaeger: str | None) -> int:
    """Show it. The exit status is 2 if that can't be done, with one line on stderr that says why and what to do."""
    try:
        _check(file, follow, width, page, jaeger)
        if page is not None:
            _write(page, render(_sorted(file, only), jaeger))
            return 0
        columns = Columns(width or shutil.get_terminal_size((120, 24)).columns, jaeger if sys.stdout.isatty() else None)
        if follow:
            for entry in _chosen(_read(file, follow=True), only):
                columns.show([entry], sys.stdout)
        else:
            columns.show(_sorted(file, only), sys.stdout)
    except WrongInput as error:
        print(f"supervise: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # `| head` has seen enough; at the exit nothing more is written into it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _write(page: str, text: str) -> None:
    try:
        Path(page).write_text(text, encoding="utf-8")
    except OSError as error:
        raise WrongInput(f"--html {page}: {error.strerror}: name a file that can be written") from error


def _check(file: str, follow: bool, width: int | None, page: str | None, jaeger: str | None) -> None:
    if width is not None and width < TIME + len(_GAP) + NARROWEST:
        raise WrongInput(f"--width {width} is too narrow for one column: give {TIME + len(_GAP) + NARROWEST} or more")
    if page is not None and follow:
        raise WrongInput("--html and --follow exclude each other: leave one of them out")
    if page is not None and file != "-" and Path(page).exists() and Path(file).exists() and Path(page).samefile(file):
        raise WrongInput(f"--html {page} is the log itself: name another file")
    if jaeger is not None:
        try:
            good = urlsplit(jaeger).scheme in ("http", "https") and bool(urlsplit(jaeger).hostname)
        except ValueError:
            good = False
        if not good:
            raise WrongInput(f"--jaeger {jaeger!r} isn't a URL: give one such as http://localhost:16686")


# -- reading -----------------------------------------------------------------------------------------------------------------


def _read(file: str, *, follow: bool = False) -> Iterator[Entry]:
    if file == "-":
        yield from parse(sys.stdin, "standard input")
        return
    try:
        with open(file, encoding="utf-8") as stream:
            yield from parse(_growing(stream) if follow else stream, file)
    except OSError as error:
        raise WrongInput(f"{file}: {error.strerror}: name a file of JSON records, as json_handler() writes it") from error
    except UnicodeDecodeError as error:
        raise WrongInput(f"{file}: not UTF-8: name a file of JSON records, as json_handler() writes it") from error


def _growing(stream: IO[str]) -> Iterator[str]:
    """Its lines, and those to come, each when it is whole; from its beginning again when it was cut."""
    part = ""
    while True:
        line = stream.readline()
        if line:
            part += line
            if part.endswith("\n"):
                yield part
                part = ""
            continue
        if os.fstat(stream.fileno()).st_size < stream.tell():
            stream.seek(0)
            part = ""
        time.sleep(POLL)


def parse(lines: Iterable[str], where: str) -> Iterator[Entry]:
    """The records of some lines. A last line that is cut off, as a process leaves that was killed, is skipped."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found: object = json.loads(line)
        except (ValueError, RecursionError):
            if not line.endswith("\n"):
                print(f"supervise: {where}: line {number}, the last one, is cut off, and left out", file=sys.stderr)
                return
            raise WrongInput(
                f"{where}: line {number} isn't JSON: log with supervise.telemetry.json_handler(), or `supervise run --log`"
            ) from None
        yield _entry(found, f"{where}: line {number}")


def _entry(found: object, where: str) -> Entry:
    if not isinstance(found, dict):
        raise WrongInput(f"{where} is no JSON object: log with supervise.telemetry.json_handler(), or `supervise run --log`")
    record = cast("dict[str, Any]", found)
    try:
        at = datetime.fromisoformat(record["time"])
    except (KeyError, TypeError, ValueError):
        raise WrongInput(f"{where} has no `time` in ISO 8601: log with supervise.telemetry.json_handler()") from None
    incarnation = record.get("incarnation")
    trace_id = str(record.get("trace_id", ""))
    return Entry(
        at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC),
        printable(str(record.get("actor") or OUTSIDE)),
        incarnation if isinstance(incarnation, int) else 0,
        printable(str(record.get("level", ""))),
        printable(str(record.get("message", ""))),
        trace_id if len(trace_id) == 32 and all(c in "0123456789abcdef" for c in trace_id) else "",
        "\n".join(map(printable, str(record.get("exception", "")).split("\n"))),
    )


def printable(text: str) -> str:
    """Without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _sorted(file: str, only: list[str]) -> list[Entry]:
    return sorted(_chosen(_read(file), only), key=lambda entry: entry.time)


def _chosen(entries: Iterable[Entry], only: list[str]) -> Iterator[Entry]:
    """Those of the actors whose path one of the patterns fits; all, if there is no pattern."""
    return (entry for entry in entries if not only or any(fnmatch.fnmatchcase(entry.actor, pattern) for pattern in only))


# -- the terminal ------------------------------------------------------------------------------------------------------------


class Columns:
    """Lays entries out in a width. Each actor has its column; those that find no room share the last one."""

    def __init__(self, width: int, jaeger: str | None = None) -> None:
        self._width = width
        self._jaeger = jaeger
        self._actors: list[str] = []
        self._most = max(1, (width - TIME) // (NARROWEST + len(_GAP)))

    @property
    def _headings(self) -> list[str]:
        if len(self._actors) <= self._most:
            return self._actors
        return [*self._actors[: self._most - 1], f"{len(self._actors) - self._most + 1} others"]

    def show(self, entries: list[Entry], out: IO[str]) -> None:
        """Print them, below the headings if these have changed."""
        said = Counter(entry.actor for entry in entries if entry.actor not in self._actors)
        if said:
            # Where not all find room, those that say the most have columns of their own, in the order of their first words.
            heard = {actor for actor, _ in said.most_common(max(0, self._most - 1 - len(self._actors)))}
            self._actors += sorted(said, key=lambda actor: actor not in heard)
            for line in self._heading():
                print(line, file=out)
        for entry in entries:
            for line in self._lines(entry):
                print(line, file=out)
        out.flush()

    def _widths(self) -> int:
        count = len(self._headings)
        return (self._width - TIME - count * len(_GAP)) // count

    def _heading(self) -> Iterator[str]:
        width = self._widths()
        cells = [textwrap.wrap(heading, width) for heading in self._headings]
        for parts in itertools.zip_longest(*cells, fillvalue=""):
            yield self._row("", list(parts))
        yield _GAP.replace(" ", "-").replace("|", "+").join(["-" * TIME, *["-" * width for _ in cells]])

    def _lines(self, entry: Entry) -> Iterator[str]:
        headings, width = self._headings, self._widths()
        column = self._actors.index(entry.actor)
        text = entry.text
        if column >= len(headings) - 1 and len(headings) < len(self._actors):
            column, text = len(headings) - 1, f"{entry.actor} {text}"
        for number, part in enumerate(textwrap.wrap(text, width) or [""]):
            linked = self._linked(part, entry.trace_id) if number == 0 else part
            row = ["" for _ in headings]
            row[column] = linked + " " * (width - len(part))
            yield self._row(entry.clock if number == 0 else "", row)

    def _row(self, clock: str, cells: list[str]) -> str:
        width = self._widths()
        return _GAP.join([clock.ljust(TIME), *[cell.ljust(width) for cell in cells]]).rstrip()

    def _linked(self, text: str, trace_id: str) -> str:
        """A hyperlink, as terminals know them (OSC 8)."""
        if not trace_id or self._jaeger is None:
            return text
        return f"\x1b]8;;{trace_url(self._jaeger, trace_id)}\x1b\\{text}\x1b]8;;\x1b\\"


def trace_url(jaeger: str, trace_id: str) -> str:
    """The page of one trace."""
    return f"{jaeger.rstrip('/')}/trace/{trace_id}"


# -- the page ----------------------------------------------------------------------------------------------------------------

_STYLE: Final = """
body { font: 13px/1.35 system-ui, sans-serif; margin: 0; color: #1b1f24; background: #fff; }
table { border-collapse: collapse; }
th, td { border: 1px solid #d8dee4; padding: 2px 6px; text-align: left; vertical-align: top; }
th, td { max-width: 26em; overflow-wrap: anywhere; }
thead th { position: sticky; top: 0; background: #f0f3f6; z-index: 1; }
tbody th { position: sticky; left: 0; background: #f6f8fa; font: 12px ui-monospace, monospace; white-space: nowrap; }
.DEBUG { color: #6e7781; } .WARNING { background: #fff5d6; } .ERROR, .CRITICAL { background: #ffe2e0; }
a, code { font: 11px ui-monospace, monospace; } pre { margin: 4px 0 0; overflow-x: auto; }
"""
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def render(entries: list[Entry], jaeger: str | None) -> str:
    """One page, with a column for each actor and a row for each instant; it loads nothing and runs nothing."""
    actors = list(dict.fromkeys(entry.actor for entry in entries))
    heading = "".join(f"<th>{html.escape(actor)}</th>" for actor in actors)
    rows = "\n".join(_rows(entries, actors, jaeger))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>supervise: {len(actors)} actors</title>\n<style>{_STYLE}</style></head>\n<body><table>\n"
        f"<thead><tr><th>UTC</th>{heading}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></body></html>\n"
    )


def _rows(entries: list[Entry], actors: list[str], jaeger: str | None) -> Iterator[str]:
    for clock, together in itertools.groupby(entries, key=lambda entry: entry.clock):
        of: dict[str, list[Entry]] = {}
        for entry in together:
            of.setdefault(entry.actor, []).append(entry)
        cells = "".join(f"<td>{''.join(_cell(entry, jaeger) for entry in of.get(actor, []))}</td>" for actor in actors)
        yield f"<tr><th>{html.escape(clock)}</th>{cells}</tr>"


def _cell(entry: Entry, jaeger: str | None) -> str:
    level = entry.level if entry.level in _LEVELS else "INFO"
    more = f"<details><summary>traceback</summary><pre>{html.escape(entry.more)}</pre></details>" if entry.more else ""
    link = ""
    if entry.trace_id:
        short = html.escape(entry.trace_id[:8])
        link = f" <code>{short}</code>"
        if jaeger is not None:
            link = f' <a href="{html.escape(trace_url(jaeger, entry.trace_id))}" rel="noreferrer">{short}</a>'
    return f'<div class="{level}">{html.escape(entry.text)}{link}{more}</div>'
