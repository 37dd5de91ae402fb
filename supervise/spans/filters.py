"""Which handlers have no span of their own, by patterns of `Type.handler`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Any

from supervise_strategies.errors import InvalidSpec
from supervise_strategies.kind import is_of

_CURE = "patterns of `Type.handler`, with *, ? and [abc], e.g. ['Clock.*', '*.tick']"


class Excluded:
    """Says of a handler whether it is excluded. Upper and lower case are two things."""

    __slots__ = ("_matches", "patterns")

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.patterns: tuple[str, ...] = _checked(patterns)
        self._matches = re.compile("|".join(map(translate, self.patterns))).match if self.patterns else None

    def __call__(self, kind: str, handler: str) -> bool:
        return self._matches is not None and self._matches(f"{kind}.{handler}") is not None


def _checked(patterns: Any) -> tuple[str, ...]:
    if is_of(patterns, str, bytes):
        raise InvalidSpec("Spans", "exclude", patterns, f"that is a single text; give several: {_CURE}")
    try:
        found = tuple(patterns)
    except TypeError:
        raise InvalidSpec("Spans", "exclude", patterns, _CURE) from None
    for pattern in found:
        if not is_of(pattern, str):
            raise InvalidSpec("Spans", "exclude", pattern, _CURE)
        if "." not in pattern and pattern != "*":
            cure = (
                f"it has no dot, so it matches nothing: {pattern}.* is a type with all handlers, *.{pattern} a handler of all"
            )
            raise InvalidSpec("Spans", "exclude", pattern, cure if pattern else _CURE)
    return found
