"""Ctrl-C at any line of our own code, in a small tree that is busy with everything there is; time is virtual.

A tracer counts the lines that are executed in our files, and raises SIGINT before the n-th; so each run is struck where the
last one was, and a failure can be looked at: `python -m tests.tree.interrupts --backend trio --at 1234`, or `--at 1234,1300`
for a second one. `--positions 2000` tries so many, evenly spread; a run that hangs ends with a traceback of all tasks.
"""

from __future__ import annotations

import argparse
import asyncio
import dis
import faulthandler
import gc
import logging
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple, Self

import anyio

import supervise
import supervise_strategies
from supervise import (
    Address,
    DynamicSupervisor,
    Intensity,
    SuperviseError,
    Supervisor,
    child,
    concurrent,
    current,
)
from supervise.testing import virtual_time
from tests.doubles import Boom

OURS: Final = tuple(package.__path__[0] for package in (supervise, supervise_strategies))
TESTING: Final = str(Path(virtual_time.__file__).parent)  # the virtual loop isn't what is tested
HUNG: Final = 20.0  # real seconds; a run takes a few hundredths


class Worker:
    """Calls the next one, begins tasks and timers, and crashes now and then."""

    def __init__(self, lives: list[str]) -> None:
        self._lives = lives

    async def __aenter__(self) -> Self:
        await anyio.sleep(0.01)
        self._lives.append("begun")
        current().every(0.05, Worker.tick, id="tick")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._lives.append("ended")
        await anyio.sleep(0.02)

    async def work(self, n: int, *further: Address[Worker]) -> int:
        if n % 5 == 4 and not further:
            raise Boom(n)
        current().nursery.start_soon(anyio.sleep, 0.01)
        if further:
            return await further[0].call(Worker.work, n, *further[1:])
        await anyio.sleep(0.01)
        return n

    @concurrent(limit=2)
    async def work_beside(self, n: int) -> int:
        await anyio.sleep(0.03)
        return n

    def tick(self) -> None:
        """A plain function."""


async def poll(address: Address[Worker]) -> None:
    """A task of its own, that fails with what it calls."""
    for n in range(4):
        await anyio.sleep(0.02)
        await address.call(Worker.work, n)
        await address.send(Worker.work_beside, n)


async def busy(lives: list[str]) -> None:
    """The program. It ends by itself, after half a virtual second."""
    often = Intensity(1000, per=1)
    below = Supervisor(
        "below", child(Worker, lives, name="b"), child(Worker, lives, name="c"), strategy="one_for_all", intensity=often
    )
    pool = DynamicSupervisor("pool", intensity=often)
    async with Supervisor("app", child(Worker, lives, name="a"), below, pool, intensity=often) as app:
        a, b, c = app.find("a"), app.find("below/b"), app.find("below/c")
        await app.start_task(poll, c, name="poll")
        d = await app.supervisor("pool").start(Worker, lives, name="d")
        for n in range(8):
            await a.send(Worker.work_beside, n)
            with suppress(SuperviseError, TimeoutError):
                await a.options(timeout=0.5).call(Worker.work, n, b, d, c)
            if n == 3:
                await app.supervisor("below").stop()
            if n == 6:
                await app.supervisor("pool").terminate_child(d)


class Outcome(NamedTuple):
    """How one run ended."""

    raised: BaseException | None
    struck: int
    """How many signals came."""
    lines: int
    """How many lines of ours were executed, until a KeyboardInterrupt was raised in one, if it was."""
    complaints: list[str]


class Tracer:
    """Raises SIGINT before the lines of these numbers."""

    def __init__(self, at: Sequence[int]) -> None:
        self.lines = 0
        self.struck = 0
        self._at = sorted(at, reverse=True)
        self._next = self._at.pop() if self._at else 0
        self._ours: dict[CodeType, bool] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        ours = self._ours.get(code)
        if ours is None:
            ours = self._ours[code] = code.co_filename.startswith(OURS) and not code.co_filename.startswith(TESTING)
        return self._line if ours else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            self.lines += 1
            if 0 < self._next <= self.lines and not _is_nop(frame):
                self._next = self._at.pop() if self._at else 0
                self.struck += 1
                signal.raise_signal(signal.SIGINT)
        return self._line


def _is_nop(frame: FrameType) -> bool:
    """Whether the line does nothing: no signal is handled there. (A `try` in another one is such a line. CPython has it in no
    handler's reach, so what a tracer raises there leaves the function past each of them.)
    """
    return frame.f_code.co_code[frame.f_lasti] == dis.opmap["NOP"]


class _Kept(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def strike(backend: str, *at: int) -> Outcome:
    """One run, with Ctrl-C before these lines."""
    lives: list[str] = []
    loops: list[asyncio.AbstractEventLoop] = []
    handler = _Kept(logging.CRITICAL)

    async def main() -> None:
        if backend == "asyncio":
            loops.append(asyncio.get_running_loop())
        await busy(lives)

    library, options = virtual_time.backend(backend)
    tracer, raised = Tracer(at), None
    logging.getLogger().addHandler(handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.settrace(tracer)
    try:
        anyio.run(main, backend=library, backend_options=options)
    except BaseException as error:
        raised = error
    finally:
        sys.settrace(None)
        logging.getLogger().removeHandler(handler)
    # The second one strikes anywhere on asyncio, also where a result was handed over and not yet noted; that may be said.
    records = handler.records if len(at) == 1 or backend == "trio" else []
    complaints = [f"CRITICAL in the log: {record.getMessage()}" for record in records]
    if tracer.struck and not isinstance(raised, KeyboardInterrupt):
        complaints.append("it ended with " + ("nothing" if raised is None else "".join(traceback.format_exception(raised))))
    elif not tracer.struck and raised is not None:
        complaints.append("unstruck, it ended with " + "".join(traceback.format_exception(raised)))
    if len(at) == 1 and lives.count("begun") != lives.count("ended"):
        complaints.append(f"{lives.count('begun')} lives have begun, {lives.count('ended')} were ended")
    complaints += [f"left over: {task}" for loop in loops for task in asyncio.all_tasks(loop)]
    return Outcome(raised, tracer.struck, tracer.lines, complaints)


def places(backend: str, positions: int, second: bool) -> Iterable[tuple[int, ...]]:
    """So many, evenly spread over the run. A second signal comes soon after the first, in the stop that this began."""
    strike(backend)  # what is made once is made now
    lines = strike(backend).lines
    for n in range(positions):
        first = 1 + n * lines // positions
        yield (first, first + 1 + (n * 37) % 600) if second else (first,)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="trio")
    parser.add_argument("--positions", type=int, default=100)
    parser.add_argument("--second", action="store_true", help="two signals in each run")
    parser.add_argument("--at", help="these lines only: 1234, or 1234,1300")
    args = parser.parse_args()
    logging.getLogger("supervise").addHandler(logging.NullHandler())
    logging.getLogger("supervise").propagate = True
    logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
    if args.at:
        chosen: Iterable[tuple[int, ...]] = [tuple(map(int, args.at.split(",")))]
    else:
        chosen = places(args.backend, args.positions, args.second)
    bad = struck = twice = 0
    for at in chosen:
        print(f"\r{at} ", end="", file=sys.stderr, flush=True)  # if it hangs, it is the last
        faulthandler.dump_traceback_later(HUNG, exit=True)
        outcome = strike(args.backend, *at)
        struck += outcome.struck > 0
        twice += outcome.struck > 1
        for complaint in outcome.complaints:
            print(f"{args.backend}, Ctrl-C at {at}: {complaint}")
        bad += bool(outcome.complaints)
    faulthandler.cancel_dump_traceback_later()
    print(f"{struck} runs struck, {twice} twice, {bad} ended badly")
    return 1 if bad else 0


if __name__ == "__main__":
    gc.disable()  # a finalizer isn't where the last run had it
    sys.exit(main())
