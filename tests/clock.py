"""What only this suite does to the clock that jumps (`supervise.testing.virtual_time`)."""

from __future__ import annotations

import asyncio

from supervise.testing.virtual_time import JumpingLoop


def block(seconds: float) -> None:
    """Let time pass while nothing runs, as code does that blocks the thread of the loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio.testing

        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        clock.jump(seconds)
        return
    assert isinstance(loop, JumpingLoop)
    loop._jumping.elapsed += seconds
