"""How a life begins: its factory is called. What that made is awaited or entered, if need be. Then it is ready.

All of it happens in the actor's own task. What is raised here is returned, never raised: it is a start that failed. So has
one that was cancelled meanwhile, for its time was up or it isn't wanted any more, and returned an actor all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervise.mailbox.handler import awaitable, class_of
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.kind import is_of

from .cancellation import is_being_closed
from .checkpoint import SNAPSHOT, begin_checkpoints
from .factory import Factory

if TYPE_CHECKING:
    from .incarnation import Incarnation


def build(life: Incarnation) -> BaseException | None:
    """Call the factory; what it made is the actor, or has to be entered or awaited first."""
    mailbox = life.mailbox
    mailbox.turn = life
    mailbox.attention = True  # whatever was so before
    if life.killed:
        return None
    try:
        made = life.owner.make()
        kind = class_of(made)
        if hasattr(kind, "__aenter__") or awaitable(made):
            life.shareable = False
            life.own_extras().made = made
        else:
            return _ready(life, made, kind)
    except BaseException as error:
        return error
    return None


async def enter(life: Incarnation) -> BaseException | None:
    """A factory that has to be awaited, or an actor that is an async context manager: all inside one life scope."""
    extras = life.own_extras()
    made, extras.made = extras.made, None
    extras.life_scope = scope = life.mailbox.backend.scope()
    scope.__enter__()
    life.owner.entering(life)
    try:
        if life.killed:  # by what the factory itself did, before there was a scope to be cancelled
            scope.cancel()
        if awaitable(made):
            made = await made
        kind = class_of(made)
        if _has_failed(life) or not hasattr(kind, "__aenter__"):  # what wasn't entered yet need not be exited
            return _ready(life, made, kind)
        instance = await kind.__aenter__(made)
        extras.manager = made
        if instance is None and not _has_failed(life):
            raise TypeError(f"{kind.__qualname__}.__aenter__ returned None, and what it returns is the actor: `return self`")
        return _ready(life, instance, class_of(instance))
    except BaseException as error:
        if is_of(error, GeneratorExit) and is_being_closed(life):
            raise
        return error


def _has_failed(life: Incarnation) -> bool:
    """Whether its start was cancelled: code that swallows that, or waits for a thread, returns late as if nothing was."""
    return life.killed or life.failure is not None


def _ready(life: Incarnation, instance: Any, kind: type) -> BaseException | None:
    """It is an actor from here on; or else what the start failed with, nothing if it was killed: its flags say that."""
    if life.killed or life.failure is not None:
        return life.failure
    if instance is None:
        cure = "it has to return the actor; a function that does the work itself is a task: child(task(function))"
        raise InvalidSpec(f"the factory of {life.mailbox.path}", "result", None, cure)
    if kind is Factory:
        cure = "that describes a child, and makes none: give it to child() itself, child(actor(Clerk, ref(ada)))"
        raise InvalidSpec(f"the factory of {life.mailbox.path}", "result", instance, cure)
    life.instance = instance
    life.running = True
    if hasattr(kind, SNAPSHOT):
        begin_checkpoints(life)
    life.mailbox.restarting = False
    if life.mailbox.instrument is not None:
        life.mailbox.instrument.started(instance)
    life.owner.started(life)
    return None
