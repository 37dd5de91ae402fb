"""Where what belongs to an event loop may be used: in that loop's thread, and where no other loop runs."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Final

from supervise._backends import NOWHERE
from supervise.errors import WrongLoop, WrongProcess, WrongThread

if TYPE_CHECKING:
    from supervise._backends import Backend

OF_AN_ADDRESS: Final = "use address.from_thread, which blocks until it is done"
OF_AN_ACTOR: Final = "there current() has find, stop, checkpoint and publish; have an actor of the loop do the rest"
OF_A_STREAM: Final = "read it there, by anyio.from_thread.run, asyncio.run_coroutine_threadsafe or trio.from_thread.run"
OF_A_TREE: Final = "have its loop do it, by anyio.from_thread.run, loop.call_soon_threadsafe or TrioToken.run_sync_soon"


def check_thread(path: str, backend: Backend, cure: str = OF_AN_ADDRESS) -> None:
    """Raise `WrongThread`, or `WrongProcess`, outside of its event loop's thread."""
    if get_ident() == backend.thread:
        return
    if backend.thread == NOWHERE:
        parent = "the actor lives in its parent, and this copy of it isn't run; start the tree after the fork"
        raise WrongProcess(f"{path} is used in a process that was forked off: {parent}")
    raise WrongThread(f"{path} is used in another thread than that of its event loop: {cure}")


def check_loop(path: str, backend: Backend) -> None:
    """Raise `WrongLoop` where nobody of its own event loop could be woken."""
    why = None if backend.is_running() else backend.elsewhere()
    if why is not None:
        raise WrongLoop(f"{path}: {why}, so nothing can be sent to it: each run of a loop needs a tree of its own")
