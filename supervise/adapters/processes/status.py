"""How a process ended, in words and as a judgement."""

from __future__ import annotations

import signal
from typing import Final

_FAULTS: Final = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGPIPE", "SIGXCPU", "SIGXFSZ")
_OWN_FAULT: Final = frozenset(int(getattr(signal, name, 0)) for name in _FAULTS)

UNKNOWN: Final = 255
"""The status of a process that somebody else of this program has waited for."""


def was_killed(status: int) -> bool:
    """Whether a signal ended it that doesn't stand for a fault of its own."""
    return status < 0 and -status not in _OWN_FAULT


def describe_status(status: int) -> str:
    """`exit status 3`, or `ended by SIGSEGV`; a shell's 128 + n is said to be one."""
    if status < 0:
        return f"ended by {_signal_name(-status)}"
    shell = f" (128 + {_signal_name(status - 128)})" if 128 < status < 128 + signal.NSIG else ""
    return f"exit status {status}{shell}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
