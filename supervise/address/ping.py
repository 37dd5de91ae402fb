"""Who answers, and how fast: an ordinary message that does nothing, to many actors at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import anyio

from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import describe

from .address import address_of

if TYPE_CHECKING:
    from supervise.mailbox.mailbox import Mailbox


class Pong(NamedTuple):
    """What a ping came to: how long the answer took, or why there was none.

    It is true if there was an answer. `str()` gives milliseconds, or the reason.

    >>> async with Supervisor("app", child(list), child(dict)) as app:
    ...     await app.terminate_child("dict")
    ...     pongs = await app.ping()
    ...     {path: bool(pong) for path, pong in pongs.items()}
    ...     print(pongs["app/dict"])
    {'app/list': True, 'app/dict': False}
    ActorStopped: app/dict is stopped, and doesn't get a ping: ...
    """

    seconds: float | None
    """From the call to its reply: the wait behind what is queued and in hand included. None: there was no reply."""
    why: str = ""
    """Why there was none."""

    def __bool__(self) -> bool:
        return self.seconds is not None

    def __str__(self) -> str:
        return self.why if self.seconds is None else f"{self.seconds * 1000:.1f} ms"


def answer(_: object) -> None:
    """What a ping has an actor run."""


answer.__name__ = answer.__qualname__ = "a ping"  # as errors, spans and dead letters call it


async def ping(mailbox: Mailbox, timeout: float | None) -> Pong:
    """Ask one actor; an actor that is restarting is told as such, and not waited for."""
    now = mailbox.backend.now
    begun = now()
    try:
        await address_of(mailbox).options(timeout=timeout, on_restart="fail").call(answer)
    except TimeoutError:
        return Pong(None, f"no answer within {timeout} s")
    except Exception as error:  # the mailbox may have a queue of the user's own
        return Pong(None, describe(error))
    except BaseException as error:
        if not interrupts(error):
            raise
        # It would end the loop from the task of a group, past everybody.
        mailbox.dead_letters.bus.pass_up(error)
        return Pong(None, describe(error))
    return Pong(now() - begun)


async def ping_all(who: str, mailboxes: Iterable[Mailbox], timeout: float | None) -> dict[str, Pong]:
    """Ask them all at the same time."""
    good = timeout is None or (isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout >= 0)
    if not good:
        raise InvalidSpec(f"ping of {who!r}", "timeout", timeout, "seconds, 0 or more, or None to wait for all")
    pongs: dict[str, Pong] = {}

    async def ask(mailbox: Mailbox) -> None:
        pongs[mailbox.path] = await ping(mailbox, timeout)

    async with anyio.create_task_group() as group:
        for mailbox in mailboxes:
            pongs[mailbox.path] = Pong(None)  # in the order of the tree
            group.start_soon(ask, mailbox)
    return pongs
