"""What is asked of a running tree, and how the answer is printed."""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

from supervise.cli.fact import Fact, words
from supervise.live.client import Client, LiveError, NoTree
from supervise_strategies.exception import interrupts
from supervise_strategies.text import one_line, printable

from .arguments import policy_of

REFUSED: Final = 1
WRONG: Final = 2
NOBODY: Final = 3
UNWRITTEN: Final = 74
"""Exit statuses; 0 is for what was done."""


def main(options: argparse.Namespace) -> int:
    """Run one command; the answer is the exit status, whatever becomes of the tree and of who reads."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names may hold what the terminal's encoding has not
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _COMMANDS[options.command](options)
        sys.stdout.flush()
        return status
    except NoTree as error:
        written = "; a tree as it is written is MODULE:TREE" if options.command == "tree" and options.target else ""
        print(f"supervise: {error}{written}", file=sys.stderr)
        return NOBODY
    except LiveError as error:
        print(f"supervise: {error}", file=sys.stderr)
        return WRONG if error.status == 400 else REFUSED
    except BrokenPipeError:  # who reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:  # a full disk: whoever is asked raises an error of its own
        print(f"supervise: the answer can't be written: {error.strerror or error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return UNWRITTEN
    except BaseException as error:
        if not interrupts(error):
            raise
        return 130


def _ps(options: argparse.Namespace) -> int:
    by = "type" if options.by_type else ""
    found = Client(options.where).snapshot(under=options.under, top=options.top, sort=options.sort, by=by)
    if options.json:
        _print_json(found)
        return 0
    _print_head(found)
    _print_columns(_type_cells(found["types"]) if options.by_type else _row_cells(found))
    return 0


def _tree(options: argparse.Namespace) -> int:
    found = Client(options.target).snapshot()
    if options.json:
        _print_json(found)
        return 0
    _print_head(found)
    for row in found["rows"]:
        depth = row["path"].count("/")
        name = row["path"].rpartition("/")[2]
        kind = f" ({row['type']})" if row.get("type") else ""
        life = f" #{row['life']}" if row.get("life", 1) != 1 else ""
        restarts = f", {row.get('restarts', 0)} of {row['limit']} restarts" if row.get("kind") == "supervisor" else ""
        error = f": {row['error']}" if row.get("error") and row.get("state", "running") != "running" else ""
        _print(f"{'  ' * depth}{name}{life}{kind} {row.get('state', 'running')}{restarts}{error}")
    return 0


def _explain(options: argparse.Namespace) -> int:
    path, *where = options.words
    found = Client(where[0] if where else None).actor(path)
    if options.json:
        _print_json(found)
    else:
        for line in (found.get("explain") or f"{path} is the root: its end is the end of the tree").split("\n"):
            _print(line)
    return 0


def _events(options: argparse.Namespace) -> int:
    client = Client(options.where)
    following: Iterator[tuple[str, dict[str, Any]]] = iter(())
    until = ""
    if options.follow:
        following = client.stream(under=options.under)
        first = next(following, None)  # none: the tree ends just then
        until = "" if first is None else first[1]["time"]  # what happened later comes by the stream
    ends: dict[str, Fact] = {}
    for fact in client.events(under=options.under, last=options.last):
        if until and fact["at"] > until:
            continue
        if options.json:
            _print_json(fact)
        else:
            print(f"{fact['at']}  {one_line(words(fact, ends).strip(), 1000)}")
        if fact["fact"] == "ended":
            ends[fact["path"]] = fact
    sys.stdout.flush()
    for _, change in following:
        if change.get("missed"):
            print(f"supervise: {change['missed']} events were missed", file=sys.stderr)
        for event in change.get("events", ()):
            if options.json:
                _print_json(event)
            else:
                trace = f"  trace {event['trace']}" if event.get("trace") else ""
                _print(f"{event['time']}  {event['text']}{trace}")
        sys.stdout.flush()
    return 0


def _logs(options: argparse.Namespace) -> int:
    client = Client(options.where)
    client.actor(options.path)  # which says what there is, where that isn't
    for _, record in client.logs(under=options.path):
        if record.get("missed"):
            print(f"supervise: {record['missed']} records were missed", file=sys.stderr)
        if options.json:
            _print_json(record)
        else:
            life = f" #{record['life']}" if record["life"] else ""
            of = f"{record['time']}  {record['level']} {record['path'] or record['logger']}{life}"
            for line in f"{of}: {record['text']}".split("\n"):
                _print(line)
        sys.stdout.flush()
    return 0


def _act(options: argparse.Namespace) -> int:
    change: dict[str, Any] = {}
    where: str | None
    if options.command == "change":
        try:
            change, where = policy_of(options.policy)
        except ValueError as error:
            print(f"supervise: change: {error}", file=sys.stderr)
            return WRONG
    else:
        where = options.where
    text = Client(where).act(options.command, options.path, who=options.who, **change)
    if options.json:
        _print_json({"done": True, "text": text})
    else:
        _print(text)
    return 0


_COMMANDS: Final[dict[str, Callable[[argparse.Namespace], int]]] = {
    "ps": _ps,
    "tree": _tree,
    "explain": _explain,
    "events": _events,
    "logs": _logs,
    **dict.fromkeys(("restart", "stop", "start", "pause", "resume", "change"), _act),
}


# -- how it is printed -----------------------------------------------------------------------------------------------------


def _print(line: str) -> None:
    """A line with what others have named or written: nothing in it moves a cursor, or begins another line."""
    print(printable(line))


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=True))


def _print_head(found: dict[str, Any]) -> None:
    told, loop = found["tree"], found["loop"]
    word = "READY" if told["ready"] else "live, not ready" if told["live"] else "DOWN"
    degraded = ", degraded" if told["degraded"] else ""
    totals = found.get("totals", {})
    numbers = f"{totals.get('actors', 0):,} actors  {totals.get('queued', 0):,} queued" if totals else "not seen yet"
    lag = f"loop lag {loop['lag'] * 1000:.1f} ms"
    _print(f"{told['name']}  pid {told['pid']}  up {told['up']:.0f} s  {word}{degraded}  {numbers}  {lag}")
    for why in told["why"]:
        _print(f"! {why}")
    blocked = loop["blocked"]
    if blocked:
        where = f" in {blocked['where']}" if blocked["where"] else ""
        handler = f" ({blocked['handler']})" if blocked["handler"] else ""
        _print(f"! the event loop is blocked for {blocked['for']:.1f} s by {blocked['path']}{handler}{where}")
    if not found.get("all", True):
        print("! more than 5,000 actors: only the worst are listed; --by-type sums all")


def _row_cells(found: dict[str, Any]) -> list[list[str]]:
    cells = [["ACTOR", "TYPE", "STATE", "LIFE", "RESTARTS", "QUEUED", "HANDLED", "FAILED", "IN HAND", "WAITS FOR"]]
    for row in found["rows"]:
        state = row.get("state", "running") + (", paused" if row.get("paused") else "")
        limit = f"/{row['limit']}" if row.get("limit") is not None else ""
        capacity = f"/{row['capacity']}" if row.get("capacity") else ""
        queued = "" if row.get("kind") == "supervisor" else f"{row.get('queued', 0)}{capacity}"
        since = row.get("hand_since")
        for_ = f" >={found['at'] - since:.1f} s" if since is not None else ""
        hand = f"{', '.join(row.get('hand', ()))}{for_}"
        last = row.get("waits_for") or (row.get("error", "") if state != "running" else "")
        cells.append(
            [
                row["path"],
                row.get("type", ""),
                state,
                str(row.get("life", 1)),
                f"{row.get('restarts', 0)}{limit}",
                queued,
                str(row.get("handled", 0)),
                str(row.get("failed", 0)),
                hand,
                last,
            ]
        )
    return cells


def _type_cells(types: list[dict[str, Any]]) -> list[list[str]]:
    names = ["type", "actors", "down", "restarts", "queued", "busy", "senders", "handled", "failed"]
    return [[name.upper() for name in names], *([str(each[name]) for name in names] for each in types)]


def _print_columns(table: list[list[str]]) -> None:
    cells = [[printable(cell) for cell in line] for line in table]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    room = shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 1000
    for line in cells:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        print(text[:room])
