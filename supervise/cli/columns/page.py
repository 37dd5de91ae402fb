"""Columns on one page that needs nothing else: the log as JSON, and a script that makes rows of it as they come into view.

The script and the style stand beside this file. The page allows these two, by their hashes, and no request. What a log holds is
JSON in an element that nothing executes, and the script sets it as text.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, Final

from .entry import OUTSIDE, Entry

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_AS_TEXT: Final = str.maketrans({"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"})
"""What could end the element, or a line, in JSON's own words."""


def parts(entries: Sequence[Entry], traces: str | None) -> Iterator[str]:
    """The page's text. `traces` is what stands before the id in the URL of a trace."""
    script, style = _resource("page.js"), _resource("page.css")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'"
    )
    yield f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<title>supervise: {len({entry.actor for entry in entries})} actors</title>
<style>{style}</style></head>
<body>
<header>
<label for="filter">Filter</label><input id="filter" type="search" autocomplete="off" spellcheck="false">
<label id="fold"><input id="starts" type="checkbox" autocomplete="off"> <span></span></label>
<output id="count" for="filter starts"></output><span id="prefix"></span>
</header>
<noscript>This page needs its script.</noscript>
<div id="view" tabindex="0" role="region" aria-label="Records"><div id="table" role="table">
<div id="head" role="row"><div id="corner" role="columnheader">UTC</div><div id="headings" role="presentation"></div></div>
<div id="body" role="rowgroup"><div id="rows" role="presentation"></div></div>
</div></div>
<script type="application/json" id="log">"""
    yield from _data(entries, traces)
    yield f"</script>\n<script>{script}</script>\n</body></html>\n"


def _data(entries: Iterable[Entry], traces: str | None) -> Iterator[str]:
    """What the script reads. A record is a list: time in ms, actor, level, whether it is a start, text, trace id, traceback; of
    actors, levels and tracebacks the number in the lists that come last.
    """
    actors: dict[str, int] = {}
    tracebacks: dict[str, int] = {}
    before = '{"records": ['
    for entry in entries:
        record: list[Any] = [
            (entry.time - _EPOCH) // _MILLISECOND if entry.dated else None,
            actors.setdefault(entry.actor, len(actors)),
            LEVELS.index(entry.level if entry.level in LEVELS else "INFO"),
            int(entry.is_start),
            entry.text,
        ]
        if entry.trace_id or entry.traceback:
            record.append(entry.trace_id)
        if entry.traceback:
            record.append(tracebacks.setdefault(entry.traceback, len(tracebacks)))
        yield before + _json(record)
        before = ",\n"
    lists = {"actors": [*actors], "levels": LEVELS, "tracebacks": [*tracebacks], "prefix": prefix(actors), "traces": traces}
    opening = before if not actors else ""
    yield f"{opening}],\n{_json(lists)[1:]}"


def prefix(paths: Iterable[str]) -> str:
    """What the paths of all actors begin with, up to a `/`; those of whom others are part aren't asked."""
    all_parts = [path.split("/") for path in paths if path != OUTSIDE]
    above = {tuple(path[:n]) for path in all_parts for n in range(1, len(path))}
    common: list[str] | None = None
    for *parents, name in all_parts:
        if (*parents, name) not in above:
            common = parents if common is None else _common(common, parents)
    return "".join(f"{part}/" for part in common or ())


def _common(one: list[str], other: list[str]) -> list[str]:
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return one[:same]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_AS_TEXT)


def _resource(name: str) -> str:
    return files(__name__.rpartition(".")[0]).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
