"""Imports point down only: a file imports from layers above it in the list, never from below, and never in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the bottom up. A file may import from its own layer and from those before it; files of one layer in no circle.
LAYERS: list[list[str]] = [
    ["supervise_strategies.*"],
    [
        "supervise.attributes",
        "supervise.errors",
        "supervise.events",
        "supervise.handler",
        "supervise.envelope",
        "supervise.instrument",
        "supervise.spans",
        "supervise.account",
        "supervise.address_like",
        "supervise.stack",
        "supervise.subscription",
        "supervise._backends.*",
    ],
    [
        "supervise.turn",
        "supervise.call_cycle",
        "supervise.throttle",
        "supervise.lane",
        "supervise.mailbox",
        "supervise.lifetime",
        "supervise.dead_letters",
        "supervise.stream",
        "supervise.observers",
        "supervise.address",
    ],
    [
        "supervise.nursery",
        "supervise.crew",
        "supervise.source",
        "supervise.timers",
        "supervise.reading",
        "supervise.incarnation",
        "supervise.in_hand",
        "supervise.deadlines",
        "supervise.context",
        "supervise.factory",
        "supervise.work",
        "supervise.task",
        "supervise.child",
        "supervise.description",
    ],
    [
        "supervise.place",
        "supervise.node",
        "supervise.registry",
        "supervise.ping",
        "supervise.explanation",
        "supervise.operator",
        "supervise.tree",
        "supervise.running",
        "supervise.supervisor",
        "supervise.dynamic",
        "supervise.open_mailbox",
    ],
    ["supervise.logs", "supervise.metrics", "supervise.tracing", "supervise.health.*", "supervise.adapters.*"],
    ["supervise.watchdog"],
    ["supervise.cli.*", "supervise.testing.*"],
]
FACE = {"supervise", "supervise_strategies"}  # the packages' own __init__: they only hand names on
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
LEAVES = (
    "supervise.cli",
    "supervise.watchdog",
    "supervise.tracing",
    "supervise.metrics",
    "supervise.logs",
    "supervise.health",
    "supervise.testing",
    "supervise.adapters",
)


def modules() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for root, package in ((ROOT, "supervise"), (ROOT / "strategies", "supervise_strategies")):
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def layer_of(module: str) -> int | None:
    for number, layer in enumerate(LAYERS):
        if any(module == name or (name.endswith(".*") and f"{module}.".startswith(name[:-1])) for name in layer):
            return number
    return None


def imports(module: str, path: Path) -> Iterator[str]:
    """What a module imports when it runs, inside of functions too; imports for type checkers alone don't count."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            todo.extend(node.orelse)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base
        else:
            todo.extend(ast.iter_child_nodes(node))


OURS = {m: [i for i in imports(m, p) if i.split(".")[0] in FACE] for m, p in MODULES.items()}


@pytest.mark.parametrize("module", sorted(set(MODULES) - FACE))
def test_every_file_stands_in_the_list_and_imports_point_down(module: str) -> None:
    here = layer_of(module)
    assert here is not None, f"{module} is in no layer: say in LAYERS where it belongs"
    for imported in OURS[module]:
        if module.startswith("supervise.cli.") and imported in FACE:
            continue  # a leaf may use the public face, as any user
        assert imported not in FACE, f"{module} imports the package's own __init__"
        there = layer_of(imported)
        assert there is not None
        assert there <= here, f"{module} (layer {here}) imports {imported} (layer {there})"


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith(LEAVES) and not m.startswith("supervise.cli")))
def test_leaves_do_not_import_each_other(module: str) -> None:
    own = next(leaf for leaf in LEAVES if module.startswith(leaf))
    assert not [i for i in OURS[module] if i.startswith(LEAVES) and not i.startswith(own)]


def test_no_circle_of_imports_at_run_time() -> None:
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        for imported in OURS.get(module, []):
            if imported != module and not (imported in FACE and module.startswith("supervise.cli")):
                visit(imported, [*path, module])
        done.add(module)

    for module in MODULES:
        visit(module, [])


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith("supervise_strategies")))
def test_the_decisions_are_pure(module: str) -> None:
    """No clock, IO, event loop or logging; tenacity in one file."""
    for imported in imports(module, MODULES[module]):
        top = imported.split(".")[0]
        allowed = top in PURE or top == "supervise_strategies" or (top == "tenacity" and module.endswith(".restart"))
        assert allowed, f"{module} imports {imported}"


def test_importing_supervise_pulls_in_no_leaf_and_no_sdk() -> None:
    code = "import sys, supervise; print('\\n'.join(sys.modules))"
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'strategies'}", "PATH": ""}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
    loaded = out.split()
    assert "supervise.supervisor" in loaded
    unwanted = [m for m in loaded if m.startswith((*LEAVES, "opentelemetry.sdk", "trio.", "pytest"))]
    assert not unwanted
