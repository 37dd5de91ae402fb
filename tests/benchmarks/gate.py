"""For CI: only a gross regression fails, and only one that shows again when it is measured again."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .backend import Backend
from .measurement import Measurement, measure
from .row import Row
from .sampler import Sampler
from .table import show

LINE = "{:<5} {:<34} {:<8} {:>9}  limit {:>9}  {}"


def gate(wanted: Iterable[tuple[Row, Backend]], sampler: Sampler, repeats: int, say: Callable[[str], object]) -> bool:
    """Whether no row is above 1.5 x its floor."""
    passed = True
    for row, backend in wanted:
        one = measure(row, backend, sampler, range(repeats), quick=True)
        if one.regressed:
            one = measure(row, backend, sampler, range(repeats, 2 * repeats), quick=True)
        passed = passed and not one.regressed
        say(_line(one))
    say("passed" if passed else "FAILED: more than 1.5 x floor")
    return passed


def _line(one: Measurement) -> str:
    row = one.row
    limit = show(1.5 * one.target.floor, row.unit)
    return LINE.format(row.id, row.what, one.backend, show(one.value, row.unit), limit, "REGRESSION" if one.regressed else "ok")
