"""The house stands: an import points down, to a room below, or stays in its room; never up.

Tested: every file stands in a room; no import runs up, none that is for type checkers alone either; leaves don't know each
other; only commands use the public face; nothing runs in a circle; decisions are pure; `import supervise` stays light. A
checker that finds nothing in sources which break each rule would be none: it is tried on some.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from .house import FACES, LEAVES, MODULES, complaints, imports, loaded, source_of

PURE = {
    "__future__",
    "abc",
    "array",
    "collections",
    "contextlib",
    "dataclasses",
    "difflib",
    "enum",
    "functools",
    "heapq",
    "inspect",
    "itertools",
    "math",
    "types",
    "typing",
    "warnings",
}


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"supervise_strategies"}))
def test_every_file_stands_in_a_room_and_its_imports_point_down(module: str) -> None:
    assert complaints(module, source_of(module)) == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("supervise.mailbox.lane", "from supervise.actor.incarnation import Incarnation", "further up"),
        ("supervise.mailbox.lane", "if TYPE_CHECKING:\n    from supervise.actor.incarnation import Incarnation", "further up"),
        ("supervise.mailbox.lane", "if typing.TYPE_CHECKING:\n    from ..actor import incarnation", "further up"),
        ("supervise.mailbox.lane", "def late():\n    from supervise.tree.node import Node", "further up"),
        ("supervise.mailbox.lane", "import supervise.actor.incarnation as it", "further up"),
        ("supervise.mailbox.lane", "import supervise.errors", "without a name"),
        ("supervise.mailbox.lane", "it = import_module('supervise.actor.incarnation')", "in a string"),
        ("supervise.mailbox.lane", "it = sys.modules['supervise.actor.incarnation']", "in a string"),
        ("supervise.mailbox.lane", "it = resolve_name('supervise.actor.incarnation:Incarnation')", "in a string"),
        ("supervise.actor.loop", "from supervise.mailbox import Lane", "name the file"),
        ("supervise.tree.node", "from supervise import Supervisor", "__init__"),
        ("supervise.health.probes", "from supervise.telemetry.logs import ActorFilter", "beside"),
        ("supervise.errors", "from supervise.mailbox.envelope import Envelope", "further up"),
        ("supervise", "def __getattr__(name):\n    from .cli import main", "further up"),
        ("supervise.tree.node", "from supervise_pytest import virtual_backend", "further up"),
        ("supervise.utils", "import math", "in no room"),
        ("helpers", "import math", "in no room"),
        ("supervise_strategies.restart", "from supervise.events import Event", "further up"),
    ],
)
def test_an_import_that_runs_up_is_found(module: str, source: str, complaint: str) -> None:
    assert [complaint in said for said in complaints(module, source)] == [True]


def test_imports_that_point_down_are_no_fault() -> None:
    source = "from supervise.mailbox.lane import Lane\nfrom .nursery import Nursery\nfrom supervise import events\nimport anyio"
    assert complaints("supervise.actor.incarnation", source) == []


def test_what_isnt_under_the_very_name_of_type_checking_runs() -> None:
    source = "if not TYPE_CHECKING:\n    import a\nif TYPE_CHECKING:\n    import b\nelse:\n    import c"
    assert {found.module: found.typing_only for found in imports("supervise.events", source)} == {
        "a": False,
        "b": True,
        "c": False,
    }


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
            found.module
            for found in imports(module, source_of(module))
            if not found.typing_only and found.module in MODULES and found.module not in (module, *FACES)
        ]
        for module in MODULES
    }
    assert circle(arrows) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": ["b"], "b": ["c", "d"], "c": ["b"]}) == ["b", "c", "b"]


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith("supervise_strategies")))
def test_the_decisions_are_pure(module: str) -> None:
    """No clock, IO, event loop or logging; tenacity in one file."""
    for imported, *_ in imports(module, source_of(module)):
        top = imported.split(".")[0]
        allowed = top in PURE or top == "supervise_strategies" or (top == "tenacity" and module.endswith(".restart"))
        assert allowed, f"{module} imports {imported}"


def test_what_a_message_is_called_knows_nothing_of_ours_but_how_texts_are_made() -> None:
    found = {found for found, *_ in imports("supervise.message", source_of("supervise.message"))}
    assert {name for name in found if name.startswith("supervise")} == {
        "supervise_strategies.exception",
        "supervise_strategies.kind",
        "supervise_strategies.text",
    }


def test_importing_supervise_pulls_in_no_leaf_and_no_sdk() -> None:
    modules = loaded("import supervise")
    assert "supervise.tree.supervisor" in modules
    assert not [
        m
        for m in modules
        if m.startswith((*LEAVES, "supervise.spans.spans", "opentelemetry.sdk", "trio.", "pytest", "msgspec"))
    ]


def test_importing_telemetry_loads_the_api_and_not_the_sdk() -> None:
    modules = loaded("import supervise.telemetry")
    assert "opentelemetry.trace" in modules
    assert not [m for m in modules if m.startswith("opentelemetry.sdk")]
