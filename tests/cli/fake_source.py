"""A tree's live view that is none: it tells what a test puts in, and notes what it is asked for."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from textual.pilot import Pilot

from supervise.cli.top.app import Top
from supervise.cli.top.page import Page
from supervise.live.client import LiveError, NoTree

GUARD = 60.0
"""Seconds after which what hangs is given up."""
_OF_ITSELF: Final[dict[str, Any]] = {}
on_asyncio: Final = pytest.mark.parametrize("anyio_backend", [pytest.param(("asyncio", _OF_ITSELF), id="asyncio")])
"""Textual runs there alone."""


class FakeSource:
    """For `Top`, in place of a `Client`."""

    def __init__(self, *frames: tuple[str, dict[str, Any]]) -> None:
        self.where = "run/shop.sock"
        self.acts: list[tuple[str, str, str, dict[str, str]]] = []
        self.details: dict[str, dict[str, Any]] = {}
        self.types: dict[str, Any] = {}
        self.refusal: str | None = None
        self.asked: list[str] = []
        self.connections = 0
        self._frames: queue.Queue[tuple[str, dict[str, Any]] | LiveError | None] = queue.Queue()
        for frame in frames:
            self._frames.put(frame)

    def tell(self, frame: tuple[str, dict[str, Any]]) -> None:
        self._frames.put(frame)

    def break_off(self, error: LiveError | None = None) -> None:
        """The stream ends, or breaks off."""
        self._frames.put(error)

    def stream(self, *, under: str = "", every: float = 1.0) -> Iterator[tuple[str, dict[str, Any]]]:
        self.connections += 1
        while (frame := self._frames.get(timeout=GUARD)) is not None:
            if isinstance(frame, LiveError):
                raise frame
            yield frame

    def snapshot(self, *, under: str = "", top: int | None = None, sort: str = "", by: str = "") -> dict[str, Any]:
        return self.types

    def actor(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if path not in self.details:
            raise LiveError(f"no child {path!r}", 404)
        return self.details[path]

    def act(self, action: str, path: str, *, who: str = "", **change: str) -> str:
        self.acts.append((action, path, who, change))
        if self.refusal is not None:
            raise LiveError(self.refusal, 409)
        return f"{path}: {action} is done"

    def hang_up(self) -> None:
        self._frames.put(NoTree("it hung up"))


async def until(pilot: Pilot[None], holds: Callable[[], object], what: str = "") -> None:
    """Wait for a fact."""
    give_up = time.monotonic() + GUARD
    while not holds():
        if time.monotonic() > give_up:
            raise AssertionError(f"{what or holds} doesn't come true:\n{seen(pilot)}")
        await pilot.pause(0.01)


def page_of(pilot: Pilot[None]) -> Page:
    screen = pilot.app.screen
    assert isinstance(screen, Page)
    return screen


def seen(pilot: Pilot[None]) -> str:
    """All that is on the screen."""
    page = page_of(pilot)
    return "\n".join(
        text for sheet in (page.above, page.alarm, page.heading, page.body, page.foot, page.keys) for text in sheet.texts
    )


async def until_seen(pilot: Pilot[None], *texts: str) -> None:
    await until(pilot, lambda: all(text in seen(pilot) for text in texts), f"{texts} on the screen")


async def until_unseen(pilot: Pilot[None], text: str) -> None:
    await until(pilot, lambda: text not in seen(pilot), f"no {text!r} on the screen")


def top_of(source: FakeSource, **options: Any) -> Top:
    return Top(lambda where: source, **options)


def meanings(pilot: Pilot[None], text: str) -> set[str]:
    """What the pieces mean that hold this text."""
    page = page_of(pilot)
    lines = [line for sheet in (page.above, page.alarm, page.heading, page.body, page.foot) for line in sheet.lines]
    return {meaning for line in lines for piece, meaning in line if text in piece}
