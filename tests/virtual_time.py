"""The clock that jumps is what users have, too: `supervise.testing.virtual_time`."""

from supervise.testing.virtual_time import DEADLOCK, HUNG, JumpingLoop, at_rest, backend, run, settle

__all__ = ("DEADLOCK", "HUNG", "JumpingLoop", "at_rest", "backend", "run", "settle")
