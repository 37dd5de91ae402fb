"""This checkout against another one: the subject of each row is timed in both, in turn, and the ratio is here : there.

Each side runs its own worker, so what is compared is what its commit measures: a workload that was changed is a difference too.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .backend import Backend
from .contestant import CONTESTANTS
from .interval import LEVEL, coverage, interval
from .row import Row
from .sample import figure
from .sampler import NoSuchWork, SampleFailed, Sampler

PAIRS: Final = 15

LIMIT: Final = 1.03
"""A row is slower only if its whole interval lies above this, faster only if it lies below the inverse, and the same only if it
lies between them. Two copies of one commit differ by less, but they do: each run has its own memory layout, and its own
neighbours on the machine."""

LINE: Final = "{:<5} {:<34} {:<8} {:>7}  {:<17} {}"

Verdict: TypeAlias = Literal["slower", "same", "faster", "undecided", "not there", "failed"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out for one row on one event loop."""

    row: Row
    backend: Backend
    verdict: Verdict
    ratios: tuple[float, ...] = ()
    error: str = ""


class _NotThere(Exception):
    """The other checkout has no such contestant, workload or figure."""


def verdict(low: float, high: float) -> Literal["slower", "same", "faster", "undecided"]:
    """For an interval of ratios. Lower is better in every row, also where it is bytes. Undecided: take more pairs."""
    if low > LIMIT or high < 1 / LIMIT:
        return "slower" if low > LIMIT else "faster"
    return "same" if low >= 1 / LIMIT and high <= LIMIT else "undecided"


def against(
    wanted: Iterable[tuple[Row, Backend]],
    here: Sampler,
    there: Sampler,
    pairs: int,
    say: Callable[[str], object],
    *,
    quick: bool,
) -> list[Comparison]:
    """Compare row by row, and name at the end what is slower and what couldn't be measured."""
    few = coverage(1, pairs) < LEVEL
    counted = f"{pairs} pairs" if pairs > 1 else "1 pair"
    say(f"here : there, {counted}{', too few for 95 %: the interval is all of them' if few else ''}")
    say(LINE.format("row", "what", "backend", "ratio", "(interval)" if few else "(95 % interval)", "verdict"))
    seen: list[Comparison] = []
    for row, backend in wanted:
        seen.append(compare(row, backend, here, there, pairs, quick=quick))
        say(line(seen[-1]))
    say(f"slower: {_named(seen, 'slower') or 'no row'}")
    others: tuple[Verdict, ...] = ("undecided", "not there", "failed")
    for other in others:
        if rows := _named(seen, other):
            say(f"{other}: {rows}")
    return seen


def compare(row: Row, backend: Backend, here: Sampler, there: Sampler, pairs: int, *, quick: bool) -> Comparison:
    """One ratio for each pair, which shares its samples with other rows as far as they look at the same ones."""
    try:
        ratios = tuple(_ratio(row, backend, here, there, pair, quick=quick) for pair in range(pairs))
    except _NotThere:
        return Comparison(row, backend, "not there")
    except SampleFailed as error:
        return Comparison(row, backend, "failed", error=str(error))
    return Comparison(row, backend, verdict(*interval(ratios)), ratios)


def _ratio(row: Row, backend: Backend, here: Sampler, there: Sampler, pair: int, *, quick: bool) -> float:
    """Both sides seconds apart, and in alternating order: neither drift nor what the first one warms up favours a side."""
    size, clock = row.quick if quick else row.size, CONTESTANTS[row.subject.contestant].clock
    figures: dict[Sampler, float] = {}
    for side in (here, there) if pair % 2 == 0 else (there, here):
        try:
            figures[side] = figure(side.take(row.subject, size, backend, pair), row.measure, clock)
        except (NoSuchWork, KeyError) as error:
            if side is there:
                raise _NotThere from error
            raise error if isinstance(error, NoSuchWork) else SampleFailed(f"this checkout has no figure {error}") from error
    if figures[there] <= 0:
        raise SampleFailed(f"the other checkout's {row.measure} is {figures[there]:g}: too little work to compare")
    return figures[here] / figures[there]


def status(seen: Iterable[Comparison]) -> int:
    """The exit code: 1 if a row is slower, 2 if one couldn't be measured or nothing was compared, 0 otherwise."""
    verdicts = {one.verdict for one in seen}
    if "slower" in verdicts:
        return 1
    return 2 if "failed" in verdicts or verdicts <= {"not there"} else 0


def line(one: Comparison) -> str:
    ratio, between = "", ""
    if one.ratios:
        low, high = interval(one.ratios)
        ratio, between = f"{statistics.median(one.ratios):.3f}", f"({low:.3f} - {high:.3f})"
    said = f"{one.verdict}: {one.error}" if one.error else one.verdict
    return LINE.format(one.row.id, one.row.what, one.backend, ratio, between, said)


def listed(seen: Iterable[Comparison]) -> str:
    """As JSON; a row without ratios has `null` for them."""
    rows: list[dict[str, object]] = []
    for one in seen:
        low, high = interval(one.ratios) if one.ratios else (None, None)
        ratio = statistics.median(one.ratios) if one.ratios else None
        found = {"ratio": ratio, "low": low, "high": high, "pairs": len(one.ratios), "verdict": one.verdict, "error": one.error}
        rows.append({"row": one.row.id, "backend": one.backend, **found})
    return json.dumps({"rows": rows}, indent=2)


def _named(seen: Iterable[Comparison], wanted: Verdict) -> str:
    return ", ".join(f"{one.row.id} on {one.backend}" for one in seen if one.verdict == wanted)
