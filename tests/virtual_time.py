"""The clock that jumps is what users have, too: `supervise.testing.virtual_time`."""

import asyncio

from supervise.testing.virtual_time import DEADLOCK, HUNG, JumpingLoop, at_rest, backend, run, settle

__all__ = ("DEADLOCK", "HUNG", "JumpingLoop", "at_rest", "backend", "block", "run", "settle")


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
