"""Recorded scenarios: a supervision tree, steps, and what OTP did after each step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

Json: TypeAlias = Mapping[str, Any]
"""A JSON object of the recording: a step, a spec (whose values may be wrong on purpose), a reply, an event, a state."""

GIVEN: Final = Path(__file__).parent / "scenarios"
ROOT: Final = "root"


class UnreadableFile(Exception):
    """A file that doesn't hold scenarios."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One line of a file. `expect[i]` is what OTP showed after `steps[i]`."""

    id: str
    features: frozenset[str]
    spec: Json
    steps: tuple[Json, ...]
    expect: tuple[Json, ...]


def given_files() -> list[Path]:
    """The recordings that come with the test suite."""
    return sorted(GIVEN.glob("*.jsonl"))


def load(path: Path) -> list[Scenario]:
    """All scenarios of one file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(f"{path}: {error}") from error
    scenarios: list[Scenario] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            scenarios.append(_scenario(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise UnreadableFile(f"{path}, line {number}: not a scenario: {type(error).__name__}: {error}") from error
    return scenarios


def _scenario(line: object) -> Scenario:
    fields = _object(line)
    steps = tuple(_object(step) for step in fields["steps"])
    expect = tuple(_object(result) for result in fields["expect"])
    if len(steps) != len(expect):
        raise ValueError(f"{len(steps)} steps, but {len(expect)} results")
    return Scenario(str(fields["id"]), frozenset(fields.get("features", ())), _object(fields["spec"]), steps, expect)


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise TypeError(f"an object was expected, not {value!r:.60}")
    return cast("Json", value)
