"""What all processes of a simulated tree share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from .plans import Plans
from .record import Record
from .world import Job, World

Answer: TypeAlias = Callable[[object, bool | Exception | None], None]


class Scene:
    """Time, the script, what happened, and where answers to calls go."""

    def __init__(self, answer: Answer) -> None:
        self.world = World()
        self.record = Record()
        self.plans = Plans()
        self.answer = answer
        self.hanging: dict[str, Job] = {}
        """By path: how an init goes on that has reached its gate."""
