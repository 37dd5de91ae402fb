"""The house: rooms that stand on each other. An import points down, to a room below, or stays in its room; never up.

Tested: every file stands in a room; no import runs up, none that is for type checkers alone either; leaves don't know each
other; only commands use the public face; nothing runs in a circle; decisions are pure; `import supervise` stays light. A
checker that finds nothing in sources which break each rule would be none: it is tried on some.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

# From the lowest room up. A room is a package of `supervise`; rooms of one floor don't import each other.
HOUSE: tuple[tuple[str, ...], ...] = (
    ("supervise_strategies",),
    ("supervise._backends",),
    ("supervise.events", "supervise.errors", "supervise.message"),  # the vocabulary: three files, which know each other
    ("supervise.mailbox",),
    ("supervise.address",),
    ("supervise.actor",),
    ("supervise.spans",),
    ("supervise.tree",),
    ("supervise.telemetry", "supervise.adapters", "supervise.health", "supervise.testing"),
    ("supervise.cli",),
)
WORDS = HOUSE[2]
FACES = ("supervise", "supervise_strategies")  # the packages' own __init__: they only hand names on
LEAVES = (*HOUSE[-2], *HOUSE[-1])
PURE = {
    "__future__",
    "abc",
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "functools",
    "heapq",
    "inspect",
    "itertools",
    "math",
    "typing",
    "warnings",
}


class Import(NamedTuple):
    """`typing_only`: it stands under TYPE_CHECKING, and so never runs."""

    module: str
    typing_only: bool


def modules() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for root, package in ((ROOT, "supervise"), (ROOT / "strategies", "supervise_strategies")):
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
PACKAGES = {module for module, path in MODULES.items() if path.name == "__init__.py"}


def floor_of(module: str) -> int | None:
    return next((n for n, floor in enumerate(HOUSE) for room in floor if is_in(module, room)), None)


def room_of(module: str) -> str | None:
    return next((room for floor in HOUSE for room in floor if is_in(module, room)), None)


def is_in(module: str, room: str) -> bool:
    return f"{module}.".startswith(f"{room}.")


def imports(module: str, source: str) -> Iterator[Import]:
    """All that a module imports, inside of functions and for type checkers too."""
    package = module if module in PACKAGES else module.rpartition(".")[0]
    todo: list[tuple[ast.AST, bool]] = [(ast.parse(source), False)]
    while todo:
        node, typing_only = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo.extend((below, True) for below in node.body)
            todo.extend((below, typing_only) for below in node.orelse)
        elif isinstance(node, ast.Import):
            yield from (Import(alias.name, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base, typing_only)
        else:
            todo.extend((below, typing_only) for below in ast.iter_child_nodes(node))


def complaints(module: str, source: str) -> list[str]:
    """What is wrong with the imports of a module, in words."""
    here, own = floor_of(module), room_of(module)
    if here is None:
        return [f"{module} is in no room: say in HOUSE where it belongs, or move it"]
    wrong: list[str] = []
    for imported, _ in imports(module, source):
        if imported.split(".")[0] not in FACES:
            continue
        if imported in FACES:
            if not is_in(module, "supervise.cli"):  # a command may use the public face, as any user
                wrong.append(f"{module} imports the package's own __init__")
            continue
        there = floor_of(imported)
        if there is None or there > here:
            wrong.append(f"{module} imports {imported}, which is further up")
        elif there == here and room_of(imported) != own and own not in WORDS:
            wrong.append(f"{module} imports {imported}, which is beside it")
    return wrong


@pytest.mark.parametrize("module", sorted(set(MODULES) - set(FACES)))
def test_every_file_stands_in_a_room_and_its_imports_point_down(module: str) -> None:
    assert complaints(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("supervise.mailbox.lane", "from supervise.actor.incarnation import Incarnation", "further up"),
        ("supervise.mailbox.lane", "if TYPE_CHECKING:\n    from supervise.actor.incarnation import Incarnation", "further up"),
        ("supervise.mailbox.lane", "if typing.TYPE_CHECKING:\n    from ..actor import incarnation", "further up"),
        ("supervise.mailbox.lane", "def late():\n    import supervise.tree.node", "further up"),
        ("supervise.tree.node", "from supervise import Supervisor", "__init__"),
        ("supervise.health.probes", "from supervise.telemetry.logs import ActorFilter", "beside"),
        ("supervise.errors", "from supervise.mailbox.envelope import Envelope", "further up"),
        ("supervise.utils", "import math", "in no room"),
        ("supervise_strategies.restart", "from supervise.events import Event", "further up"),
    ],
)
def test_an_import_that_runs_up_is_found(module: str, source: str, complaint: str) -> None:
    assert [complaint in said for said in complaints(module, source)] == [True]


def test_imports_that_point_down_are_no_fault() -> None:
    source = "from supervise.mailbox.lane import Lane\nfrom .nursery import Nursery\nfrom supervise import events\nimport anyio"
    assert complaints("supervise.actor.incarnation", source) == []


def circle(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    """A way that leads back to where it began, or nothing."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module not in done:
            for imported in arrows.get(module, ()):
                found = visit(imported, [*path, module])
                if found:
                    return found
            done.add(module)
        return []

    for module in arrows:
        if found := visit(module, []):
            return found
    return []


def test_no_circle_of_imports_at_run_time() -> None:
    arrows = {
        module: [
            imported
            for imported, typing_only in imports(module, path.read_text(encoding="utf-8"))
            if not typing_only and imported in MODULES and imported != module and imported not in FACES
        ]
        for module, path in MODULES.items()
    }
    assert circle(arrows) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": ["b"], "b": ["c", "d"], "c": ["b"]}) == ["b", "c", "b"]


def test_nothing_but_an_import_statement_imports() -> None:
    """What is loaded by its name would be an arrow that nobody sees. These two load what isn't ours."""
    late = {m for m, p in MODULES.items() if "import_module" in (text := p.read_text("utf-8")) or "__import__" in text}
    assert late == {"supervise.telemetry.tracing", "supervise.cli.run"}


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith("supervise_strategies")))
def test_the_decisions_are_pure(module: str) -> None:
    """No clock, IO, event loop or logging; tenacity in one file."""
    for imported, _ in imports(module, MODULES[module].read_text(encoding="utf-8")):
        top = imported.split(".")[0]
        allowed = top in PURE or top == "supervise_strategies" or (top == "tenacity" and module.endswith(".restart"))
        assert allowed, f"{module} imports {imported}"


def test_what_a_message_is_called_knows_nothing_of_ours() -> None:
    source = MODULES["supervise.message"].read_text(encoding="utf-8")
    assert not [imported for imported, _ in imports("supervise.message", source) if imported.split(".")[0] in FACES]


def loaded(statement: str) -> list[str]:
    """The modules that there are after a statement, in an interpreter of its own."""
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'strategies'}", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_importing_supervise_pulls_in_no_leaf_and_no_sdk() -> None:
    modules = loaded("import supervise")
    assert "supervise.tree.supervisor" in modules
    assert not [m for m in modules if m.startswith((*LEAVES, "supervise.spans.spans", "opentelemetry.sdk", "trio.", "pytest"))]


def test_importing_telemetry_loads_the_api_and_not_the_sdk() -> None:
    modules = loaded("import supervise.telemetry")
    assert "opentelemetry.trace" in modules
    assert not [m for m in modules if m.startswith("opentelemetry.sdk")]
