"""The house: rooms that stand on each other, and what each module of the library imports."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

# From the lowest room up. A room is a package of `supervise`; rooms of one floor don't import each other.
HOUSE: tuple[tuple[str, ...], ...] = (
    ("supervise_strategies",),
    ("supervise.log",),
    # things that are below everything, and don't know each other
    ("supervise._backends", "supervise._signals", "supervise._version", "supervise.cells"),
    # the vocabulary: four files, which know each other
    ("supervise.frame", "supervise.events", "supervise.errors", "supervise.message"),
    ("supervise.journal",),
    ("supervise.mailbox",),
    ("supervise.address",),
    ("supervise.actor",),
    ("supervise.spans",),
    ("supervise.tree",),
    ("supervise.wire",),
    (
        "supervise.telemetry",
        "supervise.adapters",
        "supervise.health",
        "supervise.live",
        "supervise.testing",
        "supervise.remote",
    ),
    ("supervise_pytest",),  # fixtures, which pytest finds by itself
    ("supervise.cli",),
    ("supervise.__main__",),
)
WORDS = HOUSE[3]
TREE = HOUSE.index(("supervise.tree",))
FACES = ("supervise", "supervise_strategies")  # the packages' own __init__: they only hand names on
LEAVES = tuple(room for floor in HOUSE[TREE + 1 :] for room in floor)


class Import(NamedTuple):
    module: str
    typing_only: bool
    """It stands under TYPE_CHECKING, and so never runs."""
    bound: bool = True
    """What it binds is named: `import supervise.tree` only binds `supervise`, through which everything can be reached."""


def modules() -> dict[str, Path]:
    """All of the library, by name."""
    found: dict[str, Path] = {}
    for root in (ROOT / "supervise", ROOT / "strategies"):
        for path in root.rglob("*.py"):
            parts = path.relative_to(ROOT if root.name == "supervise" else root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
PACKAGES = {module for module, path in MODULES.items() if path.name == "__init__.py"}


def source_of(module: str) -> str:
    return MODULES[module].read_text(encoding="utf-8")


def floor_of(module: str) -> int | None:
    """The number of its floor, from below. The face stands on the tree."""
    if module == "supervise":
        return TREE
    return next((n for n, floor in enumerate(HOUSE) for room in floor if is_in(module, room)), None)


def room_of(module: str) -> str | None:
    return next((room for floor in HOUSE for room in floor if is_in(module, room)), None)


def is_in(module: str, room: str) -> bool:
    return f"{module}.".startswith(f"{room}.")


@functools.cache
def imports(module: str, source: str) -> tuple[Import, ...]:
    """All that a module imports, inside of functions and for type checkers too."""
    return tuple(_imports(module, source))


def _imports(module: str, source: str) -> Iterator[Import]:
    package = module if module in PACKAGES else module.rpartition(".")[0]
    todo: list[tuple[ast.AST, bool]] = [(ast.parse(source), False)]
    while todo:
        node, typing_only = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            todo.extend((below, True) for below in node.body)
            todo.extend((below, typing_only) for below in node.orelse)
        elif isinstance(node, ast.Import):
            yield from (Import(a.name, typing_only, "." not in a.name or a.asname is not None) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base, typing_only)
        else:
            parts = ast.iter_child_nodes(node)
            todo.extend((below, typing_only) for below in parts if not isinstance(below, ast.expr))  # they hold no statement


def named(source: str) -> set[str]:
    """Modules of ours that are reached by a string, as by `import_module("supervise.tree.node")` or `sys.modules[…]`."""
    reached: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        values = node.args if isinstance(node, ast.Call) else [node.slice] if isinstance(node, ast.Subscript) else []
        texts = [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
        reached.update(module for text in texts if (module := text.partition(":")[0]) in MODULES and module not in FACES)
    return reached


def complaints(module: str, source: str) -> list[str]:
    """What is wrong with the imports of a module, in words."""
    here, own = floor_of(module), room_of(module)
    command = is_in(module, "supervise.cli")
    if here is None:
        return [f"{module} is in no room: say in HOUSE where it belongs, or move it"]
    wrong = [f"{module} names {name} in a string: import it, so that the arrow is seen" for name in named(source)]
    for imported, _, bound in imports(module, source):
        if imported.split(".")[0] not in ("supervise", "supervise_strategies", "supervise_pytest"):
            continue
        there = floor_of(imported)
        if not bound:
            wrong.append(f"{module} imports {imported} without a name of its own: write `from … import …`")
        elif imported in FACES:
            if not command and (module, imported) != FACES:  # a command may use the public face, as any user
                wrong.append(f"{module} imports the package's own __init__")
        elif there is None or there > here:
            wrong.append(f"{module} imports {imported}, which is further up")
        elif there == here and room_of(imported) != own and own not in WORDS and module not in FACES:
            wrong.append(f"{module} imports {imported}, which is beside it")
        elif imported in PACKAGES and imported != "supervise._backends" and not command:
            wrong.append(f"{module} imports {imported}, a room's __init__: name the file")
    return wrong


def loaded(statement: str) -> list[str]:
    """The modules that there are after a statement, in an interpreter of its own."""
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'strategies'}", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()
