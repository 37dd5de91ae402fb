"""What was made of old code is made once more of the new: classes and functions are found again by qualified name.

Values that live on keep their old class. A lambda, or a function in a function, has no name by which it could be found.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from types import CellType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from supervise.actor.factory import Factory
from supervise.mailbox.mailbox_options import MailboxOptions
from supervise.tree.child import Child
from supervise_strategies.kind import is_of, kind_of

from .parts import as_pool, code_in, code_of, fields_of, is_described, is_empty, is_plain, module_of, name_of

if TYPE_CHECKING:
    from supervise.tree.description import Description
    from supervise.tree.pool import Pool


class NotFound(Exception):
    """The new module has nothing of this name, or it has no name by which it could be found."""


class NewCode:
    """The modules that are new, by name, with the old ones that they replace."""

    def __init__(self, old: Mapping[str, ModuleType], new: Mapping[str, ModuleType]) -> None:
        self._old = old
        self._new = new
        self._renewed: dict[
            int, tuple[Any, Any]
        ] = {}  # what was described, with what it is now: those that share it share that
        self._names: dict[int, tuple[str, str]] | None = None

    def is_old(self, code: type | FunctionType) -> bool:
        """Whether a class or a function is of a module that was imported anew, and not of the new one."""
        module = module_of(code)
        if module not in self._old:
            return False
        made_in = self._made_in(code)
        if made_in is not None:
            return made_in is not self._new.get(module)
        try:
            return self._look_up(code) is not code
        except NotFound:
            return True

    def _made_in(self, code: type | FunctionType) -> ModuleType | None:
        """Which of the two modules it was made in, by where its functions look for names; None: another one, or none."""
        module, functions = module_of(code), [code] if is_of(code, FunctionType) else [*vars(code).values()]
        for function in functions:
            if is_of(function, FunctionType) and function.__module__ == module:
                for there in (self._new.get(module), self._old[module]):
                    if there is not None and function.__globals__ is vars(there):
                        return there
        return None

    def holds_old(self, described: Child[Any] | Description, *lives: object) -> bool:
        """Whether what makes a child, or one of its lives, is made of old code."""
        return any(map(self.is_old, code_of(described))) or any(map(self.is_old, code_in(*lives)))

    def again(self, described: Child[Any] | Description) -> Any:
        """A child or supervisor, described once more of the new code. NotFound if that can't be.

        A template that is a name of its module is what that name is now. Else the same is said of what is found by name.
        """
        known = self._renewed.get(id(described))
        if known is not None:
            return known[1]
        made = self._by_name(described)
        if made is None:
            pool = as_pool(described)
            if pool is not None:
                made = self._pool(pool)
            elif isinstance(described, Child):
                made = self._child(described)
            else:
                made = self._supervisor(described)
        self._renewed[id(described)] = described, made
        return made

    def _by_name(self, described: Child[Any] | Description) -> Any:
        if self._names is None:
            self._names = {}
            for module, old in self._old.items():
                names: dict[str, object] = dict(vars(old))
                self._names.update((id(value), (module, name)) for name, value in names.items() if is_described(value))
        where = self._names.get(id(described))
        if where is None or where[0] not in self._new:
            return None
        found = vars(self._new[where[0]]).get(where[1])
        return found if kind_of(found) is kind_of(described) else None

    def _child(self, child: Child[Any]) -> Child[Any]:
        return child.made_of(self._found(child.factory), self._found(child.args), self._kept_or_found(child.rules))

    def _pool(self, pool: Pool[Any]) -> Pool[Any]:
        other: Pool[Any] = copy.copy(pool)
        other.worker = self.again(pool.worker)
        other.mailbox_options = other.worker.mailbox_options
        other.key_of = self._kept_or_found(pool.key_of)
        return other.with_size(pool.size)

    def _supervisor(self, description: Description) -> Description:
        children = {name: self._again_or_kept(child) for name, child in description.named()}
        other = copy.copy(description)
        other._children = children
        other._names = {child: name for name, child in children.items()}
        return other

    def _again_or_kept(self, described: Child[Any] | Description) -> Any:
        return self.again(described) if self.holds_old(described) else described

    def _kept_or_found(self, value: Any) -> Any:
        try:
            return self._found(value)
        except NotFound:
            return value

    def _found(self, value: Any) -> Any:
        if is_of(value, type):
            return self._look_up(value) if self.is_old(value) else value
        if is_of(value, FunctionType):
            return self._function(value)
        if is_of(value, functools.partial):
            keywords = {name: self._found(each) for name, each in value.keywords.items()}
            return functools.partial(self._found(value.func), *self._found(value.args), **keywords)
        if is_of(value, MethodType):
            return self._method(value)
        if is_of(value, Factory):
            return Factory(value.__name__, self._found(value._make), on_error=value.on_error, one_at_a_time=value.one_at_a_time)
        if kind_of(value) in (tuple, list, set, frozenset):
            return kind_of(value)([self._found(each) for each in value])
        if kind_of(value) is dict:
            return {key: self._found(each) for key, each in value.items()}
        if kind_of(value) is MailboxOptions:
            return MailboxOptions(*map(self._kept_or_found, value))
        if is_plain(value) and any(map(self.is_old, code_in(*fields_of(value).values()))):
            return self._plain(value)
        return value  # an instance of an old class, too: it lives on as it is

    def _function(self, function: FunctionType) -> Any:
        if self.is_old(function):
            return self._look_up(function)
        cells = [cell if is_empty(cell) else cell.cell_contents for cell in function.__closure__ or ()]
        if not any(map(self.is_old, code_in(*cells, function.__defaults__))):
            return function
        if module_of(function).partition(".")[0] != "supervise":  # only of our own closures it is known what they are for
            raise NotFound(name_of(function))
        made = (cell if is_of(cell, CellType) else CellType(self._found(cell)) for cell in cells)
        other = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, tuple(made))
        other.__kwdefaults__, other.__qualname__ = function.__kwdefaults__, function.__qualname__
        return other

    def _method(self, method: MethodType) -> Any:
        if is_of(method.__self__, type):
            owner = self._found(method.__self__)
            if owner is method.__self__:
                return method
            try:
                return getattr(owner, method.__func__.__name__)
            except AttributeError:
                raise NotFound(name_of(method)) from None
        if any(map(self.is_old, code_in(method.__self__))):
            raise NotFound(name_of(method))
        return method

    def _plain(self, value: Any) -> Any:
        other = copy.copy(value)
        for name, each in fields_of(value).items():
            object.__setattr__(other, name, self._kept_or_found(each))
        return other

    def _look_up(self, code: Any) -> Any:
        found: Any = self._new.get(module_of(code))
        for part in name_of(code).split("."):
            found = vars(found).get(part) if is_of(found, ModuleType, type) else None
        if not callable(found) or is_of(found, type) is not is_of(code, type):
            raise NotFound(name_of(code))
        return found
