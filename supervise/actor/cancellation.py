"""The cancel scopes of a life, and what a cancellation hides.

Rules, which decide about everything else:

- A parked actor is ended by flag and wake-up, never by cancellation: a reader that is cancelled natively loses what was just
  handed over (tried). Only a handler that runs is cancelled, through the *kill scope*: entered before the task's first async
  handler, kept over restarts in the same task (one per message would make a send 7 times as dear).
- An actor that is an async context manager has a *life scope* around all of it, entered before the enter hook, left after
  the exit hook; a scope put around the exit hook alone corrupts the stack when the enter hook had opened a task group.
- "Was it asked for?" is decided by our own flag, never by the exception's type: on asyncio, a handler that awaits a foreign
  cancelled task sees the very same exception as one that is killed.
- The kill scope is also cancelled when a caller is gone that takes along its handler (`on_cancel="cancel"`). Then nothing ends
  but the handler: the scope is left, and the next async handler enters another one.
- A crash whose `finally` awaits in a cancelled scope is masked by the cancellation; the cause is then in `__context__`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervise._backends import is_cancellation
from supervise_strategies.exception import context_of, exc_info_of
from supervise_strategies.kind import is_of

if TYPE_CHECKING:
    from .incarnation import Incarnation


def enter_kill_scope(life: Incarnation) -> None:
    """Enter it, before the task's first async handler."""
    life.kill_scope = scope = life.mailbox.backend.scope()
    scope.__enter__()
    if life.killed or life.failure is not None:  # by what the function did that made the coroutine
        scope.cancel()


def leave_kill_scope(life: Incarnation, error: BaseException | None) -> BaseException | None:
    """Leave the scope as the exception itself would; the answer is what is left of it."""
    scope, life.kill_scope = life.kill_scope, None
    if scope is None:
        return error
    try:
        scope.__exit__(*exc_info_of(error))
    except BaseException as raised:  # a handler left a scope or a group open; or a group whose remains are raised
        return raised
    return error


def is_withdrawn(life: Incarnation) -> bool:
    """Whether the caller of the message in hand has cancelled its handler, and nobody has ended the life."""
    scope = life.kill_scope
    return scope is not None and scope.cancel_called and not life.killed and life.failure is None


def leave_cancelled_scope(life: Incarnation, error: BaseException | None = None) -> BaseException | None:
    """Leave the kill scope if a caller has cancelled it; the answer is what is left of the error without its cancellation.

    If that is a cancellation, somebody has cancelled the task natively at the same time, which may be the end of the loop.
    """
    if not is_withdrawn(life):
        return error
    scope, life.kill_scope = life.kill_scope, None
    if scope is None:
        return error
    try:
        return None if scope.__exit__(*exc_info_of(error)) else error
    except BaseException as raised:
        if is_of(error, BaseExceptionGroup) and is_of(raised, BaseExceptionGroup):  # on trio, without the cancellations in it
            return raised
        life.fail(raised)  # the handler left a scope or a group open
        return error


def leave_life_scope(life: Incarnation, error: BaseException | None, raised: BaseException | None) -> BaseException | None:
    """Leave it, if there is one, as `with` would; `error` is what stands besides what was `raised` through it."""
    scope = life.extras.life_scope
    if scope is None:
        return error if raised is None else raised
    life.extras.life_scope = None
    try:
        caught = scope.__exit__(*exc_info_of(raised))
    except BaseException as again:  # an exit hook left a scope or a group open; or a group whose remains are raised
        return again
    return error if caught or raised is None else raised


def is_being_closed(life: Incarnation) -> bool:
    """Whether GeneratorExit comes from outside: the loop is gone, and nothing may be awaited any more."""
    try:
        return life.mailbox.backend.current_task() is not life.task
    except RuntimeError:  # no loop runs
        return True


def masked(error: BaseException | None, cancelled: type[BaseException]) -> BaseException | None:
    """The exception that was under way when a cancellation took its place."""
    seen = 0
    while error is not None and seen < 50:
        if not is_cancellation(error, cancelled):
            return error
        error, seen = context_of(error), seen + 1
    return None
