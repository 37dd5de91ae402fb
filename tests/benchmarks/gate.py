"""For CI: only a gross regression fails, and only one that shows again when it is measured again, for longer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .backend import Backend
from .measurement import Measurement, measure, settled
from .row import Row
from .sampler import Sampler
from .table import show

LINE = "{:<5} {:<34} {:<8} {:>9}  limit {:>9}{} {}"


def gate(wanted: Iterable[tuple[Row, Backend]], sampler: Sampler, repeats: int, say: Callable[[str], object]) -> bool:
    """Whether no row is above its limit: 1.5 x its must, or what it reached where it misses that; of bytes 1.1 x.

    A row that is above it gets twice as many pairs, all of them new, before it fails: a machine that was busy for a few
    seconds isn't a regression. Pairs that can't change the verdict any more aren't taken.
    """
    passed = True
    for row, backend in wanted:
        one = _median(row, backend, sampler, range(repeats))
        if one.regressed:
            say(_line(one, f"above it: once more, {2 * repeats} pairs"))
            one = _median(row, backend, sampler, range(repeats, 3 * repeats))
        passed = passed and not one.regressed
        say(_line(one, "REGRESSION" if one.regressed else "ok"))
    say("* misses its must: by what it reached")
    say("passed" if passed else "FAILED: above the limit")
    return passed


def _median(row: Row, backend: Backend, sampler: Sampler, repeats: range) -> Measurement:
    """The median of all repeats, or of as many as show on which side of the limit that is going to be."""
    for done in range(len(repeats) // 2 + 1, len(repeats)):
        one = measure(row, backend, sampler, repeats[:done], quick=True)
        if settled(one, len(repeats)):
            return one
    return measure(row, backend, sampler, repeats, quick=True)


def _line(one: Measurement, verdict: str) -> str:
    row, mark = one.row, "*" if one.target.limit > one.target.slack * one.target.must else " "
    limit = show(one.target.limit, row.unit)
    return LINE.format(row.id, row.what, one.backend, show(one.value, row.unit), limit, mark, verdict)
