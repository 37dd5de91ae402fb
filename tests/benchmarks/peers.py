"""`python -m tests.benchmarks peers`: the library beside other ones, in ratios to the hand-written asyncio loop."""

from __future__ import annotations

import argparse
import statistics
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from .backend import Backend, missing
from .contestant import CHANNEL, CONTESTANTS, QUEUE, SUPERVISE
from .picture import NoPicture, panels, plain_log, save
from .row import Side
from .sample import figure
from .sampler import SampleFailed, Sampler
from .table import machine, show


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    workload: str
    size: int
    measure: str = "time"


COLUMNS: Final = (
    Column("send", "send_unbounded", 100_000),
    Column("call", "call", 20_000),
    Column("100 callers", "callers", 20_000),
    Column("100 senders", "fan_in", 100_000),
    Column("ring hop", "ring", 50_000),
    Column("spawn", "idle", 10_000, "spawn"),
    Column("bytes idle", "idle", 10_000, "bytes"),
    Column("crash to reply", "crash", 2_000),
)

Entrant: TypeAlias = tuple[str, Backend]
ENTRANTS: Final[tuple[Entrant, ...]] = (
    (SUPERVISE, "asyncio"),
    (SUPERVISE, "uvloop"),
    (SUPERVISE, "trio"),
    (CHANNEL, "trio"),
    ("pykka", "own"),
    ("thespian", "own"),
    ("mode", "asyncio"),
    ("aiotools", "asyncio"),
    ("tapio", "asyncio"),
    ("casty", "asyncio"),
    ("lapinbeam", "asyncio"),
    ("everything", "asyncio"),
    ("erlang", "own"),
)
Ratios: TypeAlias = Mapping[Entrant, Mapping[str, float]]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks peers", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw it")
    given = parser.parse_args(arguments)
    print(machine(), flush=True)
    present: list[Entrant] = []
    for name, backend in ENTRANTS:
        why = CONTESTANTS[name].missing() or missing(backend)
        if why is None:
            present.append((name, backend))
        else:
            print(why)
    ratios = compare(present, COLUMNS, Sampler(), range(given.repeats), print, quick=given.quick)
    print("", *table(ratios, COLUMNS), "", *notes(ratios), sep="\n")
    if given.png is not None:
        try:
            draw(ratios, COLUMNS, given.png)
        except NoPicture as reason:
            print(reason)
    return 0


def compare(
    entrants: Sequence[Entrant],
    columns: Sequence[Column],
    sampler: Sampler,
    repeats: Sequence[int],
    say: Callable[[str], object],
    *,
    quick: bool = False,
) -> Ratios:
    """Medians of ratios to Q on asyncio, which runs before each round. What fails is said, and left out like what can't be."""
    ratios: dict[Entrant, dict[str, float]] = {entrant: {} for entrant in entrants}
    for column in columns:
        size = max(column.size // 10, 1_000) if quick else column.size
        able = [entrant for entrant in entrants if column.workload in CONTESTANTS[entrant[0]].workloads()]
        seen: dict[Entrant, list[float]] = {entrant: [] for entrant in able}
        for repeat in repeats:
            base = sampler.take(Side(QUEUE, column.workload), size, "asyncio", repeat)
            for entrant in [*seen]:
                name, backend = entrant
                clock = CONTESTANTS[name].clock
                try:
                    sample = sampler.take(Side(name, column.workload), size, backend, repeat)
                except SampleFailed as error:
                    del seen[entrant]
                    say(f"failed: {error}")
                else:
                    seen[entrant].append(figure(sample, column.measure, clock) / figure(base, column.measure, clock))
        for entrant, values in seen.items():
            ratios[entrant][column.title] = statistics.median(values)
    return ratios


def title(entrant: Entrant) -> str:
    name, backend = entrant
    shown = CONTESTANTS[name].title
    return f"{shown} on {backend}" if len(CONTESTANTS[name].backends) > 1 else shown


def table(ratios: Ratios, columns: Sequence[Column]) -> list[str]:
    """Markdown, with Q as 1."""
    lines = [
        f"| x {CONTESTANTS[QUEUE].title}; lower is better | {' | '.join(column.title for column in columns)} |",
        f"|---{'|---' * len(columns)}|",
        f"| {CONTESTANTS[QUEUE].title} {'| 1 ' * len(columns)}|",
    ]
    for entrant, row in ratios.items():
        cells = (show(row[c.title], short=True) if c.title in row else "–" for c in columns)
        lines.append(f"| {title(entrant)} | {' | '.join(cells)} |")
    return lines


def notes(entrants: Iterable[Entrant]) -> list[str]:
    """What stands under the table, as Markdown: the settings of those that have a note."""
    lines: list[str] = []
    for name in dict.fromkeys(name for name, _ in entrants):
        note = CONTESTANTS[name].note()
        if note is not None:
            text = f"- {CONTESTANTS[name].title}: {note}"
            lines += textwrap.wrap(text, 128, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return lines


def draw(ratios: Ratios, columns: Sequence[Column], path: Path) -> None:
    """One panel per column, a bar per entrant; the line is Q, and what ends left of it is cheaper."""
    figure, axes = panels(len(columns), 5.2, 3.0)
    for column, axis in zip(columns, axes, strict=True):
        _panel(axis, column, {entrant: row[column.title] for entrant, row in ratios.items() if column.title in row})
    save(figure, path)
    print(f"drawn: {path}")


def _panel(axis: Any, column: Column, bars: Mapping[Entrant, float]) -> None:
    shown = [*bars.items()][::-1]
    colours = ["tab:blue" if entrant[0] == SUPERVISE else "tab:gray" for entrant, _ in shown]
    drawn = axis.barh([title(entrant) for entrant, _ in shown], [value for _, value in shown], color=colours)
    axis.bar_label(drawn, labels=[show(value, short=True) for _, value in shown], fontsize=8, padding=2)
    axis.axvline(1, color="black", linewidth=0.8)
    plain_log(axis)
    axis.margins(x=0.25)
    axis.tick_params(labelsize=8)
    axis.set_title(column.title, fontsize=11)
    axis.set_xlabel("times what it costs by hand (the line); shorter is better", fontsize=8)
