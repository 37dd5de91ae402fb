"""What others can bring about as often as they like is logged once in a while."""

from __future__ import annotations

import math
from typing import Final

from supervise._backends import current_backend

EVERY: Final = 5.0
"""Seconds."""


class Seldom:
    """Of one thing: whether it is to be said again."""

    def __init__(self) -> None:
        self._said = -math.inf

    def is_due(self) -> bool:
        """Whether it wasn't said for a while; then it is taken to be said now."""
        now = current_backend().now()
        due = now - self._said >= EVERY
        if due:
            self._said = now
        return due
