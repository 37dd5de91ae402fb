"""Where tasks wait, and where an exception comes from: told in words that are the same in each run."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


def where(error: BaseException | None, most: int = 3) -> str:
    """The innermost lines of the library in a traceback, outermost first."""
    found: list[str] = []
    traceback: TracebackType | None = None if error is None else error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if "/supervise" in code.co_filename and "/tests/" not in code.co_filename:
            found.append(f"{code.co_filename.rpartition('/')[2]}:{code.co_name}")
        traceback = traceback.tb_next
    return " > ".join(found[-most:]) or "no line of ours"


def stacks() -> list[str]:
    """Each task of the loop, and the lines that it waits in."""
    told = [f"{name.rpartition('.')[2]}: {_waits(coroutine)}" for name, coroutine in _tasks()]
    return sorted(line for line in told if line.count("/tests/") < 3 and "supervise/" in line)


def _tasks() -> list[tuple[str, Any]]:
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:
        import trio

        found: list[tuple[str, Any]] = []
        todo: list[Any] = [trio.lowlevel.current_root_task()]
        while todo:
            task = todo.pop()
            found.append((task.name, task.coro))
            todo.extend(child for nursery in task.child_nurseries for child in nursery.child_tasks)
        return found
    coroutines: list[tuple[str, Any]] = [(task.get_name(), task.get_coro()) for task in tasks]
    return [(name if coroutine.__qualname__ == "live" else coroutine.__qualname__, coroutine) for name, coroutine in coroutines]


def _waits(coroutine: Any) -> str:
    lines: list[str] = []
    while coroutine is not None and len(lines) < 20:
        frame = (
            getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None) or getattr(coroutine, "ag_frame", None)
        )
        if frame is not None:
            file = frame.f_code.co_filename
            if "supervise/" in file or "/tests/" in file:
                lines.append(
                    f"{file[max(file.rfind('supervise/'), file.rfind('/tests/')) :]}:{frame.f_lineno} {frame.f_code.co_name}"
                )
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return " > ".join(lines)
