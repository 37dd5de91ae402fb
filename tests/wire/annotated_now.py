# ruff: noqa: UP006, UP007, UP045, RUF036
# No `from __future__ import annotations`: the old way, with typing's own names.
"""The same interface twice, in two styles: this one is evaluated where it stands. `annotated_later.py` is the other."""

import typing as t
from dataclasses import dataclass

import msgspec

Name = t.NewType("Name", str)
Amount = t.Annotated[int, msgspec.Meta(ge=0)]
Lines = t.List["Line"]


class Note(t.TypedDict):
    text: str
    by: t.NotRequired[Name]


@dataclass
class Line:
    item: Name
    qty: Amount = 1
    notes: t.Tuple[Note, ...] = ()


class Api(t.Protocol):
    async def place(
        self, lines: Lines, by: t.Optional[Name] = None, *, at: t.Union[int, str, None, float] = 0
    ) -> t.Dict[str, t.Set[int]]: ...

    def last(self, pair: t.Tuple[int, str], kind: t.Literal["b", "a"], /) -> t.Union[Line, None]: ...
