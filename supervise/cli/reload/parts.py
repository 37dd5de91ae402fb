"""What a factory is made of: the classes and functions that it holds, and the values that they are bound to."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from types import CellType, FunctionType, MethodType
from typing import Any, Final, cast

from supervise.actor.factory import Factory
from supervise.tree.child import Child
from supervise.tree.description import Description
from supervise.tree.pool import Pool
from supervise_strategies.kind import is_of, kind_of

_CONTAINERS: Final = (tuple, list, set, frozenset)


def parts_of(value: Any) -> list[Any]:
    """What it directly holds, as far as that can be told without asking it: of an instance that is nothing."""
    if is_of(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if is_of(value, Factory):
        return [value._make]
    if is_of(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if not is_empty(cell)]
        return [*cells, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
    if is_of(value, MethodType):
        return [value.__func__, value.__self__]
    if kind_of(value) is dict:
        return [*value.values()]
    if kind_of(value) in _CONTAINERS:
        return [*value]
    return []


def is_empty(cell: CellType) -> bool:
    """Whether the variable has no value yet, or no more."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False


def code_in(*values: Any) -> Iterator[type | FunctionType]:
    """The classes, with all that they are made of, and the functions that these values hold; of an instance, its classes."""
    todo, seen = [*values], set[int]()
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if is_of(value, FunctionType):
            yield value
        else:
            yield from (value if is_of(value, type) else kind_of(value)).__mro__
        todo.extend(parts_of(value))


def is_described(value: object) -> bool:
    """Whether it is a child or a supervisor, as it is written down."""
    return isinstance(value, Child | Description)


def as_pool(described: Child[Any] | Description) -> Pool[Any] | None:
    """The same, if it is a pool."""
    return cast("Pool[Any]", described) if isinstance(described, Description) and described.is_one_thing else None


def code_of(described: Child[Any] | Description) -> Iterator[type | FunctionType]:
    """The same of a child with its options, or of all that is described below a supervisor."""
    pool = as_pool(described)
    if pool is not None:
        described = pool.worker
    if isinstance(described, Child):
        yield from code_in(described.factory, described.args)
    else:
        for _, child in described.walk():
            if isinstance(child, Child):
                yield from code_in(child.factory, child.args)


def module_of(code: type | FunctionType) -> str:
    """The name of the module that it was written in."""
    module: object = vars(code).get("__module__") if is_of(code, type) else code.__module__
    return module if type(module) is str else ""


def name_of(code: Any) -> str:
    """Its qualified name, as far as it has one."""
    name: object = type.__dict__["__qualname__"].__get__(code) if is_of(code, type) else getattr(code, "__qualname__", "")
    return name if type(name) is str else ""


def fields_of(value: Any) -> Mapping[str, Any]:
    """The attributes of an instance of a class that is known to be plain: of this library, or a policy of tenacity's."""
    found: dict[str, Any] = {}
    kinds: tuple[type, ...] = kind_of(value).__mro__
    for kind in kinds:
        said: Any = vars(kind).get("__slots__", ())
        slots: tuple[str, ...] = (said,) if is_of(said, str) else tuple(said)
        for slot in slots:
            if slot not in ("__dict__", "__weakref__") and hasattr(value, slot):
                found[slot] = getattr(value, slot)
    found.update(getattr(value, "__dict__", {}))
    return found


def is_plain(value: Any) -> bool:
    """Whether it is of such a class."""
    module = module_of(kind_of(value)).partition(".")[0]
    return module in ("tenacity", "supervise", "supervise_strategies") and not is_of(
        value, type, FunctionType, Child, Description
    )
