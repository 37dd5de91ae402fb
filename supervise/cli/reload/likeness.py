"""Whether two descriptions, made of an old and of a new module, say the same.

Classes and functions are compared by qualified name, since those of a new module are other objects; whether their code is new
is asked elsewhere. Values are compared as Python does, and so are plain arguments. What has no equality of its own is another
value: an object that the module makes for its children, say, which they share.
"""

from __future__ import annotations

import functools
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final

from supervise.actor.factory import Factory
from supervise.tree.child import Child
from supervise.tree.description import Description
from supervise.tree.ref import Ref
from supervise_strategies.exception import interrupts
from supervise_strategies.kind import is_of, kind_of

from .parts import fields_of, is_plain, module_of, name_of, parts_of

_FUNCTIONS: Final = (FunctionType, BuiltinFunctionType, MethodType)
KEEPS: Final = ("capacity", "overflow", "queue", "lanes", "choice", "throttle")
"""Options of a mailbox that it has for its whole life."""


class Likeness:
    """It knows where the keys of both descriptions stand, since a `ref()` to one is that to the other if they stand alike."""

    def __init__(self) -> None:
        self._paths: dict[int, tuple[str, ...]] = {}
        self._comparing: set[tuple[int, int]] = set()  # in a circle they are alike if all else is

    def know(self, path: tuple[str, ...], *both: Description) -> None:
        """These two stand there, with all that they describe."""
        for description in both:
            self._paths[id(description)] = path
            self._paths.update((id(child), (*path, *below)) for below, child in description.walk())

    def same_thing(self, old: Child[Any], new: Child[Any]) -> bool:
        """Whether the new one is to have the old one's mailbox: its maker has the same name, and its mailbox the same form."""
        if old.rules.lifetime != new.rules.lifetime or not self.alike(_maker(old.factory), _maker(new.factory)):
            return False
        return all(
            self.alike(getattr(old.mailbox_options, option), getattr(new.mailbox_options, option), inside=True)
            for option in KEEPS
        )

    def same_life(self, old: Child[Any], new: Child[Any]) -> bool:
        """Whether a life of the old one is as good: with the same arguments, and with options that don't need another one."""
        if not self.alike(old.factory, new.factory) or not self.alike(old.args, new.args):
            return False
        before, after = old.rules, new.rules
        return before.own_task == after.own_task and old.mailbox_options.concurrency == new.mailbox_options.concurrency

    def same_policy(self, old: Child[Any], new: Child[Any]) -> bool:
        """Whether the same is said of it beside that."""
        before, after = ({**fields_of(one.rules), "_if_dynamic": None} for one in (old, new))
        return self.alike(before, after, inside=True)

    def same_supervisor(self, old: Description, new: Description) -> bool:
        """Whether the same is said of a supervisor, apart from its children."""
        before, after = ({**fields_of(one.spec), "children": ()} for one in (old, new))
        return self.alike(before, after, inside=True) and self.alike(old.spec_below, new.spec_below, inside=True)

    def alike(self, old: Any, new: Any, *, inside: bool = False) -> bool:
        """`inside`: policies are looked into, since one made anew of the same is another object."""
        both = id(old), id(new)
        if old is new or both in self._comparing:
            return True
        self._comparing.add(both)
        try:
            return self._alike(old, new, inside)
        finally:
            self._comparing.discard(both)

    def _alike(self, old: Any, new: Any, inside: bool) -> bool:
        if id(old) in self._paths or id(new) in self._paths:
            return self._paths.get(id(old)) == self._paths.get(id(new))
        if _class(old) != _class(new):
            return False
        if is_of(old, Ref):
            return self.alike(_key_of(old), _key_of(new))
        if is_of(old, type):
            return (module_of(old), name_of(old)) == (module_of(new), name_of(new))
        if is_of(old, *_FUNCTIONS):
            if (name_of(old), old.__module__) != (name_of(new), new.__module__):
                return False
            return self._all_alike(parts_of(old), parts_of(new), inside)
        if is_of(old, functools.partial):
            return old.keywords.keys() == new.keywords.keys() and self._all_alike(parts_of(old), parts_of(new), inside)
        if is_of(old, Factory):
            same = (old.__name__, old.on_error, old.one_at_a_time) == (new.__name__, new.on_error, new.one_at_a_time)
            return same and self._all_alike(parts_of(old), parts_of(new), inside)
        if kind_of(old) in (tuple, list) or (inside and is_of(old, tuple)):
            return self._all_alike([*old], [*new], inside)
        if kind_of(old) is dict and kind_of(new) is dict and old.keys() == new.keys():
            return self._all_alike([*old.values()], [new[key] for key in old], inside)
        if _equal(old, new):
            return True
        return inside and is_plain(old) and self.alike(fields_of(old), fields_of(new), inside=True)

    def _all_alike(self, old: list[Any], new: list[Any], inside: bool) -> bool:
        return len(old) == len(new) and all(self.alike(one, other, inside=inside) for one, other in zip(old, new, strict=True))


def _key_of(ref: Any) -> Any:
    return ref._key


def _maker(factory: Any) -> Any:
    """What is called in the end, without what it is bound to."""
    while is_of(factory, functools.partial):
        factory = factory.func
    if is_of(factory, Factory):
        return factory.__name__
    if is_of(factory, type):
        return factory
    return (factory.__module__, name_of(factory)) if is_of(factory, *_FUNCTIONS) else _class(factory)


def _class(value: Any) -> tuple[str, str]:
    kind = kind_of(value)
    return module_of(kind), name_of(kind)


def _equal(old: Any, new: Any) -> bool:
    try:
        return bool(old == new)
    except BaseException as error:  # an equality of somebody's own, an array's for one
        if interrupts(error):
            raise
        return False
