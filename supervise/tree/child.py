"""The description of a child: what builds it, and what its supervisor and its mailbox need to know of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Generic, Never, NoReturn, Self, TypeVar, TypeVarTuple, Unpack, overload

from supervise.actor.factory import Factory, as_task, coroutine_function_of, default_name
from supervise.mailbox.mailbox_options import MailboxOptions
from supervise_strategies.child_spec import ChildSpec
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.restart import RestartName

from .child_options import CheckedOptions, ChildOptions, checked, takes_child_options

if TYPE_CHECKING:
    from .description import Description

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
Ts = TypeVarTuple("Ts")


class Child(Generic[A_co]):
    """A child as it is described, and the typed key under which its address is found.

    It is immutable, and made by `child`. It stands once in a description. That may be started
    several times (`start_child`), and so may a child: see `find`.

    >>> names = child(list, name="names")
    >>> async with Supervisor("app", names) as app:
    ...     await app.find(names).send(list.append, "ada")
    ...     await app.find("names").call(list.copy)
    ['ada']
    """

    __slots__ = ("__weakref__", "args", "factory", "name", "rules")

    def __init__(
        self, factory: Callable[..., Any], args: tuple[Any, ...], options: ChildOptions, *, default: RestartName
    ) -> None:
        self.name: str | None = options.get("name")
        if not callable(factory):
            cure = "a class, or a function that returns the actor; its arguments follow: start(Counter, 10)"
            raise InvalidSpec("child" if self.name is None else f"child {self.name!r}", "factory", factory, cure)
        _check_returns_an_actor(factory, self.name)
        self.factory: Callable[..., Any] = factory
        self.args: tuple[Any, ...] = args
        if isinstance(factory, Factory) and factory.on_error == "reply" and "expects" not in options:
            options = {"on_error": factory.on_error, **options}
        id = self.name if self.name is not None else default_name(self.factory)
        concurrency = options.get("concurrency")
        if concurrency is not None and isinstance(factory, Factory) and factory.one_at_a_time:
            cure = f"{factory!r} has a thread of its own, which does one thing at a time: several children do several"
            raise InvalidSpec(f"child {id!r}", "concurrency", concurrency, cure)
        try:  # the type belongs to the key: True and 1 are equal, and only one of them is a good number of seconds
            self.rules: CheckedOptions = checked(
                id, default, tuple((key, type(value), value) for key, value in options.items())
            )
        except TypeError:  # something in it has no hash
            self.rules = CheckedOptions(id, default, options)

    @property
    def spec(self) -> ChildSpec:
        """What its supervisor knows of it, under the name that it has by itself."""
        return self.rules.spec

    @property
    def mailbox_options(self) -> MailboxOptions:
        """What is said of its mailbox."""
        return self.rules.mailbox

    @property
    def required(self) -> bool | None:
        """As it was said; None if nothing was."""
        return self.rules.required

    @property
    def start_within(self) -> float | None:
        """Seconds that its start may take, or None for no deadline."""
        return self.rules.start_within

    def spec_as_child(self, name: str) -> ChildSpec:
        """What its supervisor knows of it, under the name that it has there."""
        return self.spec if name == self.spec.id else replace(self.spec, id=name)

    def made_of(self, factory: Callable[..., Any], args: tuple[Any, ...], rules: CheckedOptions) -> Self:
        """The same child of new code: another key, for another factory."""
        other = type(self).__new__(type(self))
        other.name, other.factory, other.args, other.rules = self.name, factory, args, rules
        return other

    def __copy__(self) -> Child[A_co]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Child[A_co]:
        """Itself: it is a key, and a copy of it would find nothing."""
        return self

    def spec_under(self, supervisor: Description) -> ChildSpec:
        """What that supervisor is told of it at run time.

        It is temporary under a dynamic one, if nothing else was said.
        """
        return self.rules.spec_if_dynamic() if supervisor.spec.dynamic else self.rules.spec

    def __repr__(self) -> str:
        return f"<Child {self.spec.id} {self.spec.restart}>"


@overload
def child(
    factory: Callable[[Unpack[Ts]], AbstractAsyncContextManager[A]], /, *args: *Ts, **options: Unpack[ChildOptions]
) -> Child[A]: ...
@overload
def child(factory: Callable[[Unpack[Ts]], Awaitable[A]], /, *args: *Ts, **options: Unpack[ChildOptions]) -> Child[A]: ...
@overload
def child(factory: Callable[[Unpack[Ts]], A], /, *args: *Ts, **options: Unpack[ChildOptions]) -> Child[A]: ...
@takes_child_options
def child(factory: Callable[[Unpack[Ts]], Any], /, *args: *Ts, **options: Unpack[ChildOptions]) -> Child[Any]:
    """Describe a static child: `child(Counter, 10, name="counter")`.

    It is also the typed key of its address: `app.find(counter)`.

    The factory takes positional arguments only; keywords through `functools.partial`. It is
    called afresh for every incarnation, so give it no object that a crash may have spoiled. A
    coroutine function, too, has to return the actor: what works until it returns is a `task`.

    It runs in a context of its own, which is empty, and in whatever task has just started it.
    So it mustn't enter a cancel scope by hand. If it returns an async context manager, that is
    entered before the first message and exited at the end, in a task of its own. The actor is
    then what `__aenter__` returns. What any of them raises is a start that failed, or a crash.

    Raises `InvalidSpec` at once for what can never work.

    >>> class Counter:
    ...     def __init__(self, total):
    ...         self.total = total
    ...     def add(self, amount):
    ...         self.total += amount
    ...         return self.total
    >>> counter = child(Counter, 10)
    >>> async with Supervisor("app", counter) as app:
    ...     await app.find(counter).call(Counter.add, 5)
    15
    """
    return Child(factory, args, options, default="permanent")


def _check_returns_an_actor(factory: Callable[..., Any], name: str | None) -> None:
    """Refuse a coroutine function that says of itself that it never returns an actor: its start would never be over."""
    function = coroutine_function_of(factory)
    if function is None:
        return
    said: Any = getattr(function, "__annotations__", {}).get("return", _NOTHING)
    if said is None or said in _NEVER:
        cure = f"it returns no actor; a function that does the work itself is a task: {as_task(factory)}"
        raise InvalidSpec("child" if name is None else f"child {name!r}", "factory", factory, cure)


_NOTHING: Final = object()
_NEVER: Final = (Never, NoReturn, "None", "Never", "NoReturn")
