"""matplotlib, as far as it is used here; it has no types, and may not be installed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class NoPicture(Exception):
    """matplotlib is missing."""


def panels(count: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """A figure, and its axes side by side, in at most three columns."""
    try:
        matplotlib: Any = importlib.import_module("matplotlib")
    except ImportError as error:
        raise NoPicture("no picture is drawn: matplotlib is not installed (extra `bench`)") from error
    matplotlib.use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    columns = min(count, 3)
    lines = -(-count // columns)
    figure, axes = pyplot.subplots(lines, columns, figsize=(width * columns, height * lines), squeeze=False)
    flat = list(axes.flat)
    for left_over in flat[count:]:
        left_over.axis("off")
    return figure, flat[:count]


def counted(number: float) -> str:
    """A number on an axis: 0.1, 10, 1k, 1M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def plain_log(axis: Any, ticks: Sequence[float] | None = None) -> None:
    """A logarithmic axis from left to right with numbers that everybody reads, at these ticks or at each power of ten."""
    axis.set_xscale("log")
    if ticks is not None:
        axis.set_xticks(ticks)
    axis.xaxis.set_major_formatter(_major)
    axis.xaxis.set_minor_formatter(_minor)


def _major(number: float, _: object) -> str:
    return counted(number)


def _minor(_: float, __: object) -> str:
    return ""


def save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    pyplot.close(figure)
