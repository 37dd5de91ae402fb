"""For CI: only a gross regression fails, and only one that shows again when the row is measured as it is meant to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .backend import Backend
from .measurement import Measurement, measure, pair, settled
from .row import Row
from .sampler import Sampler
from .table import show

LINE = "{:<5} {:<34} {:<8} {:>9}  limit {:>9}{} {}"


def gate(wanted: Iterable[tuple[Row, Backend]], sampler: Sampler, repeats: int, say: Callable[[str], object]) -> bool:
    """Whether no row is above its limit: 1.5 x its must, or what it reached where it misses that; of bytes 1.1 x.

    The first look is at a tenth of the work. What is above its limit there is measured again after all other rows, with
    all of the work and twice as many pairs: of little work the fixed part is dear (100 senders: 1.2 instead of .93), and
    a machine that was busy for a minute isn't a regression. Pairs that can't change the verdict any more aren't taken.
    """
    again: list[tuple[Row, Backend]] = []
    for row, backend in wanted:
        one = _median(row, backend, sampler, range(repeats), quick=True)
        if one.regressed:
            again.append((row, backend))
        say(_line(one, "above it: once more, later" if one.regressed else "ok"))
    pair(again, sampler, quick=False)
    failed: list[Measurement] = []
    for row, backend in again:
        one = _median(row, backend, sampler, range(repeats, 3 * repeats), quick=False)
        if one.regressed:
            failed.append(one)
        say(_line(one, f"{'REGRESSION' if one.regressed else 'ok'}, all of the work, {2 * repeats} pairs"))
    say("* misses its must: by what it reached")
    say("FAILED: above the limit: " + ", ".join(f"{one.row.id} {one.backend}" for one in failed) if failed else "passed")
    return not failed


def _median(row: Row, backend: Backend, sampler: Sampler, repeats: range, *, quick: bool) -> Measurement:
    """The median of all repeats, or of as many as show on which side of the limit that is going to be."""
    for done in range(len(repeats) // 2 + 1, len(repeats)):
        one = measure(row, backend, sampler, repeats[:done], quick=quick)
        if settled(one, len(repeats)):
            return one
    return measure(row, backend, sampler, repeats, quick=quick)


def _line(one: Measurement, verdict: str) -> str:
    row, mark = one.row, "*" if one.target.limit > one.target.slack * one.target.must else " "
    limit = show(one.target.limit, row.unit)
    return LINE.format(row.id, row.what, one.backend, show(one.value, row.unit), limit, mark, verdict)
