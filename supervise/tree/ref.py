"""A factory's argument that stands for the address of another child: `child(Cache, ref(db))`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, NoReturn, TypeVar, overload

from supervise.actor.incarnation import Incarnation
from supervise.address.address import Address
from supervise.errors import NoActor
from supervise.mailbox.turn import current_turn
from supervise_strategies.errors import InvalidSpec

from .child import Child
from .pool import Pool

A = TypeVar("A")


class Ref(Generic[A]):
    """Not the address itself, which isn't known before the tree runs. Each start of the child that has it looks it up."""

    __slots__ = ("_key",)

    def __init__(self, key: Child[A] | Pool[A] | str) -> None:
        self._key = key

    def find(self) -> Any:
        """What it stands for, for the actor that is being built: the address, which keeps nothing alive."""
        return self._found()

    def _found(self) -> Address[A]:
        life = current_turn(None)
        if not isinstance(life, Incarnation):
            raise NoActor(f"{self!r} stands for an address where an actor is built, and nowhere else: use app.find(…)")
        found: Address[A] = life.owner.find(self._key, lent=True)
        return found

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):  # copy and pickle ask for some before it has its key
            raise AttributeError(name)
        where = "as an argument of its own, child(Cache, ref(db)), or of a functools.partial"
        raise AttributeError(f"{self!r} isn't the address itself, and has no {name!r}: it becomes that {where}")

    def __repr__(self) -> str:
        key = self._key
        return f"ref({key!r})" if isinstance(key, str) else f"ref({key.spec.id})"


@overload
def ref(key: Child[A] | Pool[A], /) -> Address[A]: ...
@overload
def ref(key: str, /) -> Address[Any]: ...
def ref(key: Any, /) -> Any:
    """An argument that stands for the address of another child, until its factory is called.

    In `child(Cache, ref(db))` each start of the child looks it up as `current().find(key)`
    would: by a typed key, or by a path from the own supervisor. To a type checker it is the
    address, `Address[Db]`; but what it returns is only a place holder.

    It may be an argument of its own, in `child`, `start`, `task` and the adapters, or one of a
    `functools.partial`. Inside of a list it isn't seen. The address keeps nothing alive.

    If nothing is found, the start fails with `ChildNotFound`. The sibling may be one that
    starts later. Then a call to it in the own start is `WouldDeadlock`, since it waits for this
    start; a `send` is fine. So it is where an older sibling goes down before it has answered.
    Raises `InvalidSpec` for what is no key.

    >>> class Cache:
    ...     def __init__(self, db):
    ...         self.db = db
    ...     async def get(self, key):
    ...         return await self.db.call(dict.get, key)
    >>> db = child(dict, {"ada": 1815}, name="db")
    >>> cache = child(Cache, ref(db))
    >>> async with Supervisor("app", db, cache) as app:
    ...     await app.find(cache).call(Cache.get, "ada")
    1815
    """
    if key == "" or not issubclass(type(key), str | Child | Pool):
        raise InvalidSpec("ref", "key", key, "what child() or pool() returned, or a path relative to the own supervisor, 'db'")
    return Ref(key)


def resolved(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments, with the addresses that some stand for."""
    for arg in args:
        if issubclass(type(arg), Ref):
            return tuple(_found(arg) for arg in args)
    return args


def resolved_keywords(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The same for keywords."""
    return {name: _found(value) for name, value in keywords.items()}


def resolved_partial(factory: Callable[..., Any]) -> Callable[..., Any]:
    """The same for those that a partial has."""
    bound: Any = factory
    if not issubclass(type(bound), partial):
        return factory
    inner = resolved_partial(bound.func)
    args, keywords = resolved(bound.args), bound.keywords
    if inner is bound.func and args is bound.args and not any(issubclass(type(value), Ref) for value in keywords.values()):
        return factory
    return partial(inner, *args, **resolved_keywords(keywords))


def _found(value: Any) -> Any:
    return value.find() if issubclass(type(value), Ref) else value
