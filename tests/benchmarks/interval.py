"""Between which figures the true median lies, in 95 of 100 runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

LEVEL: Final = 0.95


def rank(pairs: int) -> int:
    """Which of the sorted ratios, counted from either end, bound the interval; 1 if there are too few for it to be 95 %.

    It is free of assumptions on how they are distributed: each lies above the true median as often as a coin shows heads.
    """
    return max((k for k in range(1, pairs // 2 + 1) if coverage(k, pairs) >= LEVEL), default=1)


def coverage(k: int, pairs: int) -> float:
    """How often the true median lies between the k-th from below and the k-th from above."""
    return 1 - 2 * sum(math.comb(pairs, heads) for heads in range(k)) / (1 << pairs)


def interval(ratios: Sequence[float]) -> tuple[float, float]:
    """Of their median."""
    k = rank(len(ratios))
    return sorted(ratios)[k - 1], sorted(ratios)[-k]
