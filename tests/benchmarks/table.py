"""Measurements as text, and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable

from .measurement import Measurement
from .row import Unit

LINE = "{:<5} {:<34} {:<8} {:>8}  {:<17} {:>7} {:>7} {:>8}  {}"


def machine() -> str:
    """On what it ran, and whether the machine had other work."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores{load}"


def head() -> str:
    return LINE.format("row", "what", "backend", "ratio", "(interval)", "must", "aim", "reached", "verdict")


def line(one: Measurement) -> str:
    unit = one.row.unit
    return LINE.format(
        one.row.id,
        one.row.what,
        one.backend,
        show(one.value, unit),
        "({} - {})".format(*(show(end, unit, short=True) for end in one.interval)),
        show(one.target.must, unit, short=True),
        "" if one.target.aim is None else show(one.target.aim, unit, short=True),
        "" if one.target.reached is None else show(one.target.reached, unit, short=True),
        one.verdict,
    )


def show(value: float, unit: Unit = "x", *, short: bool = False) -> str:
    """Three digits that count; `short` leaves the unit away."""
    text = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return text if short else f"{text} {unit}"


def as_json(measurements: Iterable[Measurement]) -> str:
    rows = [
        {
            "row": one.row.id,
            "backend": one.backend,
            "ratio": one.value,
            "must": one.target.must,
            "aim": one.target.aim,
            "reached": one.target.reached,
        }
        for one in measurements
    ]
    return json.dumps({"rows": rows}, indent=2)
