"""A page of what the stream doesn't tell: it is asked for again and again while the page is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from supervise.live.client import LiveError
from supervise.live.drawing import BAD, DIM, Line, clean

from .aside import aside
from .page import Page

if TYPE_CHECKING:
    from .app import Top

LEAST: Final = 1.0
"""Seconds between two answers, at least."""


class PolledPage(Page):
    """`answer` is the last one, None before the first; `problem` why there was none."""

    def __init__(self, top: Top) -> None:
        super().__init__(top)
        self.answer: dict[str, Any] | None = None
        self.problem: str = ""
        self._asks = False

    def ask_for(self) -> dict[str, Any]:
        """The answer, in a thread of its own. It may raise `LiveError`."""
        raise NotImplementedError

    def answered(self, answer: dict[str, Any]) -> None:
        """There is one."""
        self.answer = answer

    def on_mount(self) -> None:
        self.set_interval(max(LEAST, self.top.every), self._look)
        self._look()

    def _look(self) -> None:
        if not self._asks and not self.top.is_frozen and (self.is_current or self.answer is None):
            self._asks = True
            self.run_worker(self._renew())

    async def _renew(self) -> None:
        try:
            self.answered(await aside(self.ask_for))
            self.problem = ""
        except LiveError as error:
            self.problem = str(error)
        finally:
            self._asks = False
        if self.is_current:
            self.redraw()

    def apology(self) -> list[Line]:
        """What is said instead of an answer, or before an old one."""
        if self.problem:
            return [[(clean(self.problem), BAD)]]
        return [[("it is being asked", DIM)]] if self.answer is None else []
