"""`python -m tests.benchmarks ablation [ROW…]`: which feature costs what, in the rows that miss their must.

A table for each row and event loop: it begins with the barest thing that could do the work, each line adds one feature, and
the last one is the library. `adds` is the median, over the repeats, of the line's ratio less that of the line above.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from .backend import BACKENDS, Backend, missing
from .contestant import ABLATED
from .contestants.ablated import IDLE
from .row import Row, Side
from .rows import UnknownRow, chosen
from .sample import figure
from .sampler import Sampler
from .table import machine

LINE = "  {:<42} {:>9} {:>9}"


@dataclass(frozen=True, slots=True)
class Ablation:
    """How one row is taken apart: one sample holds all steps, or there is a workload for each step."""

    row: str
    size: int
    steps: tuple[str, ...] = ()


ABLATIONS: Final[tuple[Ablation, ...]] = (
    Ablation("G1", 100_000),
    Ablation("G2", 100_000),
    Ablation("G3", 25_000),
    Ablation("G3d", 25_000),
    Ablation("G4", 25_000),
    Ablation("G6", 25_000),
    Ablation("G7", 200_000),
    Ablation("G8", 50_000),
    Ablation("G9", 10_000, IDLE),
    Ablation("G10", 10_000, IDLE),
    Ablation("G11", 5_000),
    Ablation("G12", 100_000),
    Ablation("G12b", 25_000),
    Ablation("G16", 10_000, IDLE),
)


def main(arguments: Sequence[str], sampler: Sampler | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks ablation", description=__doc__)
    names = [ablation.row for ablation in ABLATIONS]
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(names)} (default: all)")
    parser.add_argument("--backend", choices=(*BACKENDS, "all"), default="all")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="fresh processes per row (default: 5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    given = parser.parse_args(arguments)
    if given.repeats < 1:
        parser.error("--repeats: 1 or more")
    try:
        rows = {row.id: row for row in chosen(given.rows)}
    except UnknownRow as error:
        parser.error(str(error))
    say = partial(print, flush=True)
    say(machine())
    taken = sampler or Sampler()
    for ablation in ABLATIONS:
        row = rows.get(ablation.row)
        for backend in row.targets if row is not None else ():
            if row is not None and given.backend in (backend, "all") and missing(backend) is None:
                size = max(ablation.size // 10, 1_000) if given.quick else ablation.size
                say("", *lines(row, backend, steps(ablation, row, backend, size, taken, range(given.repeats))), sep="\n")
    return 0


def steps(
    ablation: Ablation, row: Row, backend: Backend, size: int, sampler: Sampler, repeats: Sequence[int]
) -> Mapping[str, Sequence[float]]:
    """The row's own figure at each step, one for each repeat."""
    if not ablation.steps:
        samples = [sampler.take(Side(ABLATED, row.subject.workload), size, backend, repeat) for repeat in repeats]
        return {title: [sample[title] for sample in samples] for title in samples[0]}
    found: dict[str, list[float]] = {step: [] for step in ablation.steps}
    for repeat in repeats:
        baseline = row.baseline.get(backend)
        base = 1.0 if baseline is None else figure(sampler.take(baseline, size, backend, repeat), row.measure, "cpu")
        for step in ablation.steps:
            sample = sampler.take(Side(ABLATED, step), size, backend, repeat)
            found[step].append(figure(sample, row.measure, "cpu") / base)
    return found


def lines(row: Row, backend: Backend, found: Mapping[str, Sequence[float]]) -> list[str]:
    """The table of one row."""
    target, text = row.targets[backend], partial(_shown, row)
    aim = "" if target.aim is None else f", aim {text(target.aim)}"
    written = [f"{row.id}, {row.what}, {backend}: must {text(target.must)}{aim}"]
    before: Sequence[float] | None = None
    for title, values in found.items():
        adds = 0.0 if before is None else statistics.median(_less(values, before))
        sign = "+" if adds >= 0 else ""
        written.append(LINE.format(title, text(statistics.median(values)), "" if before is None else f"{sign}{text(adds)}"))
        before = values
    return written


def _less(values: Sequence[float], before: Sequence[float]) -> list[float]:
    return [value - other for value, other in zip(values, before, strict=True)]


def _shown(row: Row, value: float) -> str:
    return f"{value:.0f} B" if row.unit == "B" else f"{value:.3f}"
