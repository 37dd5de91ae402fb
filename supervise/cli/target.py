"""What a command works on: `MODULE:TREE` or `path/to/file.py:TREE`; with --factory what TREE names is called for the tree.

| target | `sys.path` begins with | the module's name |
|---|---|---|
| `shop.trees:TREE` | the working directory | `shop.trees` |
| `shop/trees.py:TREE` | the file's directory, links resolved, as for a script | `trees` |

Under its name the module is in `sys.modules`, and under the same it is imported by a process that multiprocessing spawns, since
that has the same `sys.path`: so what it defines can be pickled. A file whose name is that of another module, as `logging.py`,
is `logging_py`, which no other process finds.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from importlib.machinery import SourceFileLoader
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final, NamedTuple

from supervise.actor.factory import coroutine_function_of
from supervise.tree.child import Child
from supervise.tree.supervisor import Runnable
from supervise_strategies.exit_reason import describe
from supervise_strategies.kind import is_of, kind_of, name_of_kind
from supervise_strategies.suggestion import nearest
from supervise_strategies.text import said

from .failure import ends_the_program, reached, traceback_text

MOST: Final = 10  # names in one line


class WrongTarget(Exception):
    """It gives no tree. The text is the one line to print, after the traceback of what the user's own code raised."""

    def __init__(self, text: str, error: BaseException | None = None) -> None:
        super().__init__(" ".join(text.split()))
        self.traceback: str = "" if error is None else traceback_text(error)

    def tell(self) -> None:
        """Print both on stderr."""
        print(f"{self.traceback}supervise: {self}", file=sys.stderr)


class _Target(NamedTuple):
    text: str
    where: str
    """A module's name, or a file's path."""
    name: str

    @property
    def is_file(self) -> bool:
        if self.where.endswith(".py") or any(sign and sign in self.where for sign in ("/", os.sep, os.altsep)):
            return True
        return "." in self.where and os.path.isfile(self.where)  # `app.toml`, say

    def wrong(self, what: str, error: BaseException | None = None) -> WrongTarget:
        return WrongTarget(f"{self.text!r}: {what}", error)


def load(text: str, factory: bool = False) -> Runnable:
    """The description that a target names, or that the function makes which it names. `WrongTarget` if that is none.

    SystemExit and KeyboardInterrupt of the user's code pass up.
    """
    target = _parsed(text)
    found = _attribute(target, _file(target) if target.is_file else _module(target), factory)
    if factory:
        found = _made(target, found)
    elif not is_of(found, Runnable):
        raise target.wrong(_no_tree(found))
    return found


def _parsed(text: str) -> _Target:
    where, colon, name = text.rpartition(":")
    if colon and len(where) == 1 and name[:1] in ("/", "\\"):  # of a drive
        where, colon, name = "", "", text
    if where and all(part.isidentifier() for part in name.split(".")):
        return _Target(text, where, name)
    example = f"{text}:TREE" if text and not colon else f"{where or 'chat'}:TREE"
    called = (name.endswith("()") and f", or {text[:-2]} --factory for what that function returns") or ""
    raise WrongTarget(
        f"{text!r} isn't MODULE:TREE: give a module or a file, and the name of a Supervisor in it, e.g. {example}{called}"
    )


# -- a module --------------------------------------------------------------------------------------------------------------


def _module(target: _Target) -> ModuleType:
    here = _here()
    if here and here not in sys.path:
        sys.path.insert(0, here)
    if "" in target.where.split("."):
        raise target.wrong(f"{target.where!r} isn't the whole name of a module: give it from the outermost package on")
    importlib.invalidate_caches()
    try:
        return importlib.import_module(target.where)
    except BaseException as error:
        if ends_the_program(error):
            raise
        if is_of(error, ModuleNotFoundError) and not reached(error):  # nothing of the user's has begun
            raise target.wrong(_not_there(target, here)) from None
        raise _not_imported(target, error) from error


def _not_imported(target: _Target, error: BaseException, more: str = "") -> WrongTarget:
    what = "the file" if target.is_file else f"module {target.where!r}"
    return target.wrong(f"{what} can't be imported ({describe(error)}): mend what it raises{more}", error)


def _not_there(target: _Target, here: str) -> str:
    """The package that is there is imported by now."""
    parts = target.where.split(".")
    above = 0
    while above < len(parts) - 1 and sys.modules.get(".".join(parts[: above + 1])) is not None:
        above += 1
    missing, package = ".".join(parts[: above + 1]), ".".join(parts[:above])
    if not package:
        where, folders = f" in {here or 'the working directory, which is gone'}, or among what is installed", [here]
    else:
        folders = [*map(str, getattr(sys.modules[package], "__path__", ()))]
        where = f" in the package {package!r}" if folders else f": {package!r} is a module, and no package"
    there = sorted({name for folder in folders for name in _modules_in(folder)})
    text = f"there is no module {missing!r}{where}"
    near = nearest(parts[above], there)
    if near is not None:
        meant = ".".join([*parts[:above], near, *parts[above + 1 :]])
        return f"{text}: did you mean {meant}:{target.name}?"
    if not package and parts[0] in _modules_in(os.path.join(here, "src")):
        return f"{text}: it is in src/: install the project (pip install -e .), or set PYTHONPATH=src"
    if not folders:
        return text
    names = f"there {'are' if len(there) > 1 else 'is'} {_listed(there)}" if there else "there is none"
    return f"{text}: {names}" if package else f"{text}: go to where it is, or install it; here {names}"


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _modules_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            named = [(entry.name, entry.is_dir()) for entry in entries]
    except OSError:
        return []
    found = [
        name.removesuffix(".py")
        for name, is_folder in named
        if (_files_in(os.path.join(folder, name)) if is_folder else name.endswith(".py"))
    ]
    return [name for name in found if name.isidentifier() and not name.startswith("__")]


# -- a file ----------------------------------------------------------------------------------------------------------------


def _file(target: _Target) -> ModuleType:
    here = _here()
    if not here and not os.path.isabs(target.where):
        raise target.wrong("the working directory is gone: go to another one, or give the whole path of the file")
    path = os.path.abspath(target.where)
    _check_file(target, path)
    folder = os.path.dirname(os.path.realpath(path))
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()
    name = _name_for(path)
    module = sys.modules.get(name)
    if module is not None:
        return module
    spec = importlib.util.spec_from_file_location(name, path, loader=SourceFileLoader(name, path))
    assert spec is not None
    assert spec.loader is not None
    try:
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if ends_the_program(error):
            raise
        raise _not_imported(target, error, _as_part_of_package(target, path, here, error)) from error
    return sys.modules.get(name, module)  # it may have put another in its place, as in any import


def _name_for(path: str) -> str:
    """The one under which an import finds it, if that finds it and no other module."""
    name = os.path.basename(path).removesuffix(".py").replace(".", "_")
    while _is_anothers(name, path):
        name += "_py"
    return name


def _is_anothers(name: str, path: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
        return spec is not None and not (spec.origin is not None and os.path.samefile(spec.origin, path))
    except Exception:  # `__main__` has no spec; `built-in` is no file; finders may be the user's own
        return name in sys.modules or name in sys.builtin_module_names


def _check_file(target: _Target, path: str) -> None:
    """Refuse what can't be a Python file, and say what is there instead."""
    where, folder = target.where, os.path.dirname(path)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if os.path.isfile(f"{path}.py"):
            raise target.wrong(f"there is no file {where!r}: did you mean {where}.py:{target.name}?") from None
        if not os.path.isdir(folder):
            raise target.wrong(f"there is no folder {os.path.dirname(where)!r} here") from None
        there = _files_in(folder)
        near = nearest(os.path.basename(path), there)
        cure = f"did you mean {os.path.join(os.path.dirname(where), near)}:{target.name}?" if near else _files(there)
        raise target.wrong(f"there is no file {os.path.basename(path)!r} in {folder}: {cure}") from None
    except OSError as error:
        raise target.wrong(f"{where!r} can't be read ({error.strerror})") from None
    if stat.S_ISDIR(mode):
        package = f"; or the package, as {os.path.basename(path)}:{target.name}" if _is_package(path) else ""
        raise target.wrong(f"{where!r} is a folder: name a file in it; {_files(_files_in(path))}{package}")
    if not stat.S_ISREG(mode) or not path.endswith(".py"):
        raise target.wrong(f"{where!r} is no Python file: the name of one ends in .py; {_files(_files_in(folder))}")


def _files_in(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(".py"))
    except OSError:
        return []


def _files(names: list[str]) -> str:
    return f"there {'are' if len(names) > 1 else 'is'} {_listed(names)}" if names else "there are no Python files"


def _as_part_of_package(target: _Target, path: str, here: str, error: BaseException) -> str:
    """The cure for imports that only work in the package of which the file is a part."""
    folder, base = os.path.split(path)
    if not is_of(error, ImportError) or not _is_package(folder):
        return ""
    parts = [] if base == "__init__.py" else [base.removesuffix(".py")]
    while _is_package(folder):
        folder, name = os.path.split(folder)
        parts.insert(0, name)
    where = "" if folder == here else f", in {folder}"
    return f"; it is a part of the package {parts[0]!r}, so name it as that: {'.'.join(parts)}:{target.name}{where}"


def _is_package(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, "__init__.py"))


# -- what is named there -----------------------------------------------------------------------------------------------------


def _attribute(target: _Target, module: ModuleType, factory: bool) -> Any:
    found: Any = module
    for part in target.name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise target.wrong(_no_such_name(target, found, part, factory)) from None
        except BaseException as error:  # a module may have a `__getattr__` of its own
            if ends_the_program(error):
                raise
            raise target.wrong(f"{part!r} can't be read ({describe(error)}): mend what raises it", error) from error
    return found


def _no_such_name(target: _Target, found: Any, part: str, factory: bool) -> str:
    names: Mapping[str, Any] = dict(vars(found)) if is_of(found, ModuleType, type) else {}
    trees = [name for name, value in names.items() if is_of(value, Runnable)]
    wanted = [name for name, value in names.items() if callable(value)] if factory else trees
    near = nearest(part, wanted) or nearest(part, names)
    whose = "the file" if target.is_file else f"module {target.where!r}"
    text = f"{whose} has no {part!r}" if is_of(found, ModuleType) else f"there is no {part!r} in it"
    if near is not None:
        text += f": did you mean {near!r}?"
    if trees:
        return f"{text}{';' if near is None else ''} its tree{'s are' if len(trees) > 1 else ' is'} {_listed(trees)}"
    if near is not None:
        return text
    return f"{text}: name a Supervisor that it defines, or, with --factory, a function that returns one"


def _no_tree(found: object) -> str:
    if callable(found):
        return f"that is {_what(found)}: name a Supervisor or DynamicSupervisor; if it returns one, --factory calls it"
    if is_of(found, Child):
        return "that is a child: name the Supervisor that it is in"
    return f"that is of type {name_of_kind(kind_of(found))}: name a Supervisor or DynamicSupervisor"


def _what(found: object) -> str:
    if is_of(found, FunctionType, MethodType, BuiltinFunctionType):
        return "a function"
    return "a class" if is_of(found, type) else f"of type {name_of_kind(kind_of(found))}"


def _made(target: _Target, factory: Any) -> Runnable:
    """What the user's function returns."""
    if is_of(factory, Runnable):
        raise target.wrong("that is a tree already: leave out --factory")
    if not callable(factory):
        kind = name_of_kind(kind_of(factory))
        raise target.wrong(f"that is of type {kind}, and can't be called: name a function that returns a Supervisor")
    if coroutine_function_of(factory) is not None:
        raise target.wrong("that is a coroutine function, and no event loop runs yet: make it a plain function")
    lacking = _arguments_lacking(factory)
    if lacking:
        raise target.wrong(f"the factory is called without arguments ({lacking}): give them defaults")
    try:
        made: Any = factory()
    except BaseException as error:
        if ends_the_program(error):
            raise
        raise target.wrong(f"the factory raised {describe(error)}: mend it", error) from error
    if is_of(made, Runnable):
        return made
    if inspect.iscoroutine(made):
        made.close()  # or it would complain, on top, that nobody awaited it
    kind = "None" if made is None else f"something of type {name_of_kind(kind_of(made))}"
    raise target.wrong(f"the factory returned {kind}: return a Supervisor or DynamicSupervisor")


def _arguments_lacking(factory: Any) -> str:
    try:
        signature = inspect.signature(factory)
    except Exception:  # it doesn't say what it takes
        return ""
    try:
        signature.bind()
    except TypeError as error:
        return said(error)
    return ""


def _listed(names: Iterable[str]) -> str:
    found = [*names]
    more = len(found) - MOST
    return ", ".join(map(repr, found[:MOST])) + (f" and {more} more" if more > 0 else "")
