"""The description of a child: what builds it, and what its supervisor and its mailbox need to know of it."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypedDict, TypeVar, TypeVarTuple, Unpack, cast, overload

from supervise.actor.factory import default_name
from supervise.errors import NotAHandler
from supervise.mailbox.handler import check
from supervise.mailbox.mailbox_options import Choice, MailboxOptions, Overflow
from supervise.mailbox.message_queue import MessageQueue
from supervise.message import AnyHandler
from supervise_strategies.child_spec import ChildSpec, OnLimit, StopWithin
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.restart import Restart, RestartName, as_restart

from .deadlines import check_deadline

if TYPE_CHECKING:
    from supervise.mailbox.throttle import Throttle
    from supervise_strategies.intensity import Intensity

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
Ts = TypeVarTuple("Ts")
LifetimeOf: TypeAlias = Literal["supervisor", "addresses"]


class ChildOptions(TypedDict, total=False):
    """What can be said of a child beside its factory; all of it has a default."""

    name: str | None
    """One part of its path. Default: the class's name in lower case, then `-2`, `-3`, …"""
    restart: Restart | RestartName
    """Default: permanent for static children, temporary under a dynamic supervisor."""
    significant: bool
    """Whether its end can end its supervisor (see `auto_shutdown`)."""
    stop_within: StopWithin
    """Seconds that an ordered stop may take (default 5), `math.inf`, or `"brutal_kill"`."""
    limit: Intensity | None
    """A restart budget of its own; beyond it the child is left stopped, while its siblings live."""
    on_limit: OnLimit
    """What its own limit's end means: `"stop"` (default), or `"escalate"`: the supervisor gives up."""
    expects: tuple[type[BaseException], ...]
    """Exceptions that are answers, not crashes: they go to the caller as they are."""
    capacity: float
    """How many messages its mailbox holds: default 1000; `math.inf` for no bound."""
    overflow: Overflow
    """What a full mailbox does: `"wait"` (default), `"reject"` (`MailboxFull`), `"drop_oldest"`, or `"drop_newest"`."""
    lanes: tuple[str, ...]
    """Names of lanes, most urgent first, each with the capacity: `options(lane="urgent")`; without one, it is the last."""
    choice: Choice
    """Which lane is next: `"strict"` (default: the most urgent that has a message), or `"fair"` (in turns)."""
    throttle: Throttle | None
    """How many messages a second it begins at most."""
    queue: Callable[[], MessageQueue]
    """What makes a lane's queue: default `collections.deque`."""
    redeliver: int
    """How often a message whose handler raised is tried again (default 0): at least once, instead of at most once."""
    lifetime: LifetimeOf
    """`"supervisor"` (default), or `"addresses"`: it ends normally, once nobody holds a strong address and nothing waits."""
    on_tree_started: Callable[[Any], Any] | None
    """A handler that each incarnation handles first of all, but not before the whole tree is built."""
    drain: bool
    """Whether an ordered stop handles what is queued, within `stop_within`, before the actor ends."""
    handler_deadline: float | None
    """Seconds that one message may be in hand; then the actor crashes (`HandlerLate`), at the latest a quarter later.

    Concurrent handlers have none."""
    required: bool
    """Whether the tree isn't ready (`supervise.health`) while it is down. Default: yes, but no under a dynamic supervisor."""


class Child(Generic[A_co]):
    """A static child, and the typed key under which its address is found. Immutable, and used once in a tree."""

    __slots__ = ("_options", "args", "factory", "name")

    def __init__(
        self, factory: Callable[..., Any], args: tuple[Any, ...], options: ChildOptions, *, default: RestartName
    ) -> None:
        self.name: str | None = options.get("name")
        if not callable(factory):
            cure = "a class, or a function that returns the actor; its arguments follow: start(Counter, 10)"
            raise InvalidSpec("child" if self.name is None else f"child {self.name!r}", "factory", factory, cure)
        self.factory: Callable[..., Any] = factory
        self.args: tuple[Any, ...] = args
        id = self.name if self.name is not None else default_name(factory)
        try:  # the type belongs to the key: True and 1 are equal, and only one of them is a good number of seconds
            self._options = _checked(id, default, tuple((key, type(value), value) for key, value in options.items()))
        except TypeError:  # something in it has no hash
            self._options = _CheckedOptions(id, default, options)

    @property
    def spec(self) -> ChildSpec:
        """What its supervisor knows of it, under the name that it has by itself."""
        return self._options.spec

    @property
    def mailbox_options(self) -> MailboxOptions:
        """What is said of its mailbox."""
        return self._options.mailbox

    @property
    def redeliver(self) -> int:
        return self._options.redeliver

    @property
    def lifetime(self) -> LifetimeOf:
        return self._options.lifetime

    @property
    def on_tree_started(self) -> AnyHandler | None:
        return self._options.on_tree_started

    @property
    def required(self) -> bool | None:
        """As it was said; None if nothing was."""
        return self._options.required

    @property
    def expects(self) -> tuple[type[BaseException], ...]:
        return self._options.expects

    @property
    def drain(self) -> bool:
        return self._options.drain

    @property
    def handler_deadline(self) -> float | None:
        return self._options.handler_deadline

    def spec_as_child(self, name: str) -> ChildSpec:
        """What its supervisor knows of it, under the name that it has there."""
        return self.spec if name == self.spec.id else replace(self.spec, id=name)

    def __repr__(self) -> str:
        return f"<Child {self.spec.id} {self.spec.restart}>"


class _CheckedOptions:
    """What a child's options say, checked: shared by all children that say the same, 350 bytes for each of them."""

    __slots__ = (
        "drain",
        "expects",
        "handler_deadline",
        "lifetime",
        "mailbox",
        "on_tree_started",
        "redeliver",
        "required",
        "spec",
    )

    def __init__(self, id: str, default: RestartName, options: ChildOptions) -> None:
        unknown = sorted(set(options) - set(ChildOptions.__annotations__))
        if unknown:
            cure = f"there is no such option; there are {', '.join(ChildOptions.__annotations__)}"
            raise InvalidSpec(f"child {id!r}", unknown[0], cast(Any, options)[unknown[0]], cure)
        self.lifetime: LifetimeOf = options.get("lifetime", "supervisor")
        by_address = self.lifetime == "addresses"
        self.spec: ChildSpec = ChildSpec(
            id=id,
            restart=as_restart(options.get("restart", "transient" if by_address and default == "permanent" else default)),
            significant=options.get("significant", False),
            stop_within=options.get("stop_within"),
            limit=options.get("limit"),
            on_limit=options.get("on_limit", "stop"),
        )
        who = f"child {self.spec.id!r}"
        if self.lifetime not in ("supervisor", "addresses"):
            raise InvalidSpec(who, "lifetime", self.lifetime, "'supervisor' or 'addresses'")
        if by_address and self.spec.restart.type == "permanent":
            cure = "its end by its addresses is a normal one: make it transient or temporary"
            raise InvalidSpec(who, "lifetime", self.lifetime, cure)
        self.mailbox: MailboxOptions = MailboxOptions(
            options.get("capacity", 1000),
            options.get("overflow", "wait"),
            options.get("queue", deque),
            options.get("lanes", ()),
            options.get("choice", "strict"),
            options.get("throttle"),
        )
        self.mailbox.check(who)
        self.redeliver: int = options.get("redeliver", 0)
        if isinstance(self.redeliver, bool) or not isinstance(self.redeliver, int) or self.redeliver < 0:
            raise InvalidSpec(who, "redeliver", self.redeliver, "how many times more: a whole number, 0 or more")
        self.on_tree_started: AnyHandler | None = options.get("on_tree_started")
        if self.on_tree_started is not None:
            try:
                check(self.on_tree_started)
            except NotAHandler as error:
                raise InvalidSpec(who, "on_tree_started", self.on_tree_started, str(error)) from None
        self.expects: tuple[type[BaseException], ...] = options.get("expects", ())
        if not isinstance(self.expects, tuple) or not all(
            isinstance(e, type) and issubclass(e, BaseException) for e in self.expects
        ):
            raise InvalidSpec(who, "expects", self.expects, "a tuple of exception classes, e.g. (KeyError,)")
        self.drain: bool = options.get("drain", False)
        if self.drain not in (True, False):
            raise InvalidSpec(who, "drain", self.drain, "True or False")
        self.handler_deadline: float | None = options.get("handler_deadline")
        check_deadline(who, self.handler_deadline)
        self.required: bool | None = options.get("required")
        if self.required not in (True, False, None):
            raise InvalidSpec(who, "required", self.required, "True, or False for a child whose loss only degrades the tree")


@functools.lru_cache(maxsize=128)
def _checked(id: str, default: RestartName, options: tuple[tuple[str, type, Any], ...]) -> _CheckedOptions:
    return _CheckedOptions(id, default, cast(ChildOptions, {key: value for key, _, value in options}))


@overload
def child(
    factory: Callable[[Unpack[Ts]], AbstractAsyncContextManager[A]], /, *args: *Ts, **options: Unpack[ChildOptions]
) -> Child[A]: ...
@overload
def child(factory: Callable[[Unpack[Ts]], Awaitable[A]], /, *args: *Ts, **options: Unpack[ChildOptions]) -> Child[A]: ...
@overload
def child(factory: Callable[[Unpack[Ts]], A], /, *args: *Ts, **options: Unpack[ChildOptions]) -> Child[A]: ...
def child(factory: Callable[[Unpack[Ts]], Any], /, *args: *Ts, **options: Unpack[ChildOptions]) -> Child[Any]:
    """Describe a static child: `child(Counter, 10, name="counter")`.

    The factory takes positional arguments only (keywords through `functools.partial`). It is called afresh for every
    incarnation, in a task of the tree, with an empty context. If what it returns is an async context manager, that is entered
    before the first message and exited at the end, and the actor is what `__aenter__` returns. Options: `ChildOptions`.

    Raises `InvalidSpec` at once for what can never work.
    """
    return Child(factory, args, options, default="permanent")
