"""The loops of this process, and of which processes they aren't: a process that is forked off has copies that nobody runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from ._base import Nowhere

if TYPE_CHECKING:
    from ._base import Backend

NOWHERE: Final = -1
"""The ident of no thread."""
_all: Final[WeakSet[Backend]] = WeakSet()


def keep(backend: Backend) -> None:
    """Have it know when it is forked."""
    _all.add(backend)


def _forked() -> None:
    for backend in _all:
        backend.thread, backend.running = NOWHERE, Nowhere()


if hasattr(os, "register_at_fork"):  # not on Windows. `os.getpid` for each message would cost 0.19 us of its 0.9
    os.register_at_fork(after_in_child=_forked)
