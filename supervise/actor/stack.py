"""Where a thread is, and where a suspended coroutine waits: as lines without the frames, which would pin what they hold."""

from __future__ import annotations

import sys
from gc import get_referents
from types import AsyncGeneratorType, FrameType
from typing import TYPE_CHECKING, Any, Final

from supervise.frame import Frame
from supervise_strategies.kind import is_of

from .clean_context import FRAMES, InContext
from .first_step import FirstStep
from .inline_call import answer
from .judgement import go_on
from .loop import live
from .run_queue import RunQueue

if TYPE_CHECKING:
    from .incarnation import Incarnation

MOST: Final = 50  # lines
LOOP: Final = (live.__code__, go_on.__code__, answer.__code__, RunQueue._alone.__code__, *FRAMES)
"""What calls a handler."""
FIRST_STEP: Final = FirstStep.__await__.__code__


def coroutine_of(task: object) -> Any:
    """The coroutine that a task of either backend runs; None if there is no task."""
    if task is None:
        return None
    get_coro: Any = getattr(task, "get_coro", None)  # asyncio
    return getattr(task, "coro", None) if get_coro is None else get_coro()


def runs_now(life: Incarnation) -> bool:
    """Whether its code is what its loop's thread runs at this instant, and not that of one that it calls; from any thread."""
    task, runs = life.task, life.mailbox.backend.runs
    if life.awaits is not None:
        return False
    if task is not None and getattr(coroutine_of(task), "cr_running", False):
        return True
    return life.in_hand is not None and runs is not None and runs.is_answering(life)


def handler_stack(life: Incarnation) -> tuple[Frame, ...]:
    """The lines at which what a life does stands and waits, without the actor's own loop."""
    runs = life.mailbox.backend.runs
    carried = None if runs is None else runs.coroutine_of(life.task)
    return await_stack(coroutine_of(life.task) if carried is None else carried)


def await_stack(awaitable: Any) -> tuple[Frame, ...]:
    """The lines at which a suspended coroutine, and what it awaits, stands; outermost first.

    The loop of an actor isn't shown. It ends where something isn't a coroutine or a generator of Python's own, as a future.
    """
    lines: list[Frame] = []
    while awaitable is not None and len(lines) < MOST:
        if is_of(awaitable, InContext):
            awaitable = awaitable.coroutine
        for kind, inner in (("cr_", "cr_await"), ("gi_", "gi_yieldfrom"), ("ag_", "ag_await")):
            frame: FrameType | None = getattr(awaitable, f"{kind}frame", None)
            if frame is not None and frame.f_code is FIRST_STEP:  # which goes on with a coroutine by hand
                awaitable = frame.f_locals.get("rest")
                break
            if frame is not None:
                if frame.f_code not in LOOP:
                    lines.append(_line(frame))
                awaitable = getattr(awaitable, inner, None)
                break
        else:
            # One step of an asynchronous generator, as of an `@asynccontextmanager`, doesn't say of which; the collector knows.
            found: list[Any] = [each for each in get_referents(awaitable) if is_of(each, AsyncGeneratorType)]
            awaitable = found[0] if found else None
    return tuple(lines)


def thread_stack(thread: int) -> tuple[Frame, ...]:
    """The lines at which a thread stands, outermost first; if an actor is at work there, only those of its handler."""
    frame = sys._current_frames().get(thread)
    lines: list[Frame] = []
    while frame is not None and frame.f_code not in LOOP and frame.f_code is not FIRST_STEP:
        lines.append(_line(frame))
        frame = frame.f_back
    return tuple(reversed(lines[:MOST]))


def _line(frame: FrameType) -> Frame:
    code = frame.f_code
    return Frame(code.co_filename, frame.f_lineno, code.co_qualname)
