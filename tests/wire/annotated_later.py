# ruff: noqa: RUF036
"""The same interface twice, in two styles: this one's annotations are texts. `annotated_now.py` is the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, NotRequired, Protocol, Required, TypeAlias, TypedDict

from msgspec import Meta

Number: TypeAlias = int | float


class Api(Protocol):
    async def place(
        self,
        lines: list[Line],
        by: None | str = "",
        *,
        at: str | Number | None = 2.5,
    ) -> dict[str, set[int]]: ...

    def last(self, pair: tuple[int, str], kind: Literal["a", "b"], /) -> None | Line: ...


@dataclass
class Line:
    item: str
    notes: tuple[Note, ...] = field(default=())
    qty: Annotated[int, Meta(description="how many"), Meta(ge=0)] = 7


class Note(TypedDict, total=False):
    by: NotRequired[str]
    text: Required[Annotated[str, "not for the wire"]]
