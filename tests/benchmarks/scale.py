"""`python -m tests.benchmarks scale`: what things cost as the work grows. All of it should stay flat."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .backend import BACKENDS, Backend, missing
from .curve import CURVES, Curve, Points
from .picture import NoPicture, panels, plain_log, save
from .sampler import Sampler
from .table import machine

LINE = "{:<15} {:<8} {:<16} {:>9} {:>16} {:>9}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks scale", description=__doc__)
    parser.add_argument("--backend", choices=(*BACKENDS, "all"), default="asyncio")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="leave the largest numbers away")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw it")
    given = parser.parse_args(arguments)
    print(machine(), flush=True)
    wanted: list[Backend] = [name for name in BACKENDS if given.backend in (name, "all")]
    absent = [why for name in wanted if (why := missing(name)) is not None]
    print(*absent, sep="\n", end="\n" if absent else "")
    runs: list[tuple[Backend, Curve]] = [(name, curve) for name in wanted if missing(name) is None for curve in CURVES]
    seen = scale(runs, Sampler(), range(given.repeats), lambda text: print(text, flush=True), quick=given.quick)
    if given.png is not None:
        try:
            draw(seen, given.png)
        except NoPicture as reason:
            print(reason)
    return 0


def scale(
    wanted: Iterable[tuple[Backend, Curve]],
    sampler: Sampler,
    repeats: Sequence[int],
    say: Callable[[str], object],
    *,
    quick: bool = False,
) -> list[tuple[Backend, Points]]:
    """A line per point, each curve as soon as it is known."""
    say(LINE.format("what", "backend", "over", "number", "cost", "growth"))
    seen: list[tuple[Backend, Points]] = []
    for backend, curve in wanted:
        points = curve.points(backend, sampler, repeats, quick=quick)
        seen.append((backend, points))
        last = max(points.costs)
        for number, cost in points.costs.items():
            growth = f"x {points.growth:.2f}" if number == last else ""
            price = f"{cost:.3g} µs/{curve.per}"
            say(LINE.format(curve.what, backend, curve.over, f"{number:,}", price, growth))
    return seen


def draw(seen: Sequence[tuple[Backend, Points]], path: Path) -> None:
    """One panel per curve, a line per backend, from few on the left to many on the right: flat is good."""
    curves = list(dict.fromkeys(points.curve for _, points in seen))
    figure, axes = panels(len(curves), 4.2, 3.0)
    for curve, axis in zip(curves, axes, strict=True):
        _panel(axis, curve, [(backend, points) for backend, points in seen if points.curve == curve])
    save(figure, path)
    print(f"drawn: {path}")


def _panel(axis: Any, curve: Curve, lines: Iterable[tuple[Backend, Points]]) -> None:
    highest = 0.0
    for backend, points in lines:
        axis.plot(list(points.costs), list(points.costs.values()), marker="o", label=backend)
        highest = max(highest, *points.costs.values())
    plain_log(axis, curve.numbers)
    axis.set_ylim(0, highest * 1.3)
    axis.set_title(curve.what, fontsize=11)
    axis.set_xlabel(f"number of {curve.over}", fontsize=9)
    axis.set_ylabel(f"µs per {curve.per}", fontsize=9)
    axis.grid(visible=True, alpha=0.3)
    axis.legend(fontsize=8)
