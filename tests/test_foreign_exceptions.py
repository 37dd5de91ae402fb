"""An exception of the user's own may say anything of itself: it has a length, a truth value, a `__traceback__` that raises.

Tested (SEMANTICS 65): the library asks none of them, wherever it stands. What a crash does then stands in
`tests/actor/test_hostile_errors.py`; here the source is looked at, since such a question is easily written again.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house import MODULES, source_of

ASKED_OF_ITS_CLASS = {"__traceback__": "traceback_of", "__cause__": "cause_of", "__context__": "context_of"}
NAMES = {"error", "raised", "exc", "cause", "failure", "again", "fatal", "outer"}  # of what was raised
HOME = "supervise_strategies.exception"
A_PROGRAM = "supervise.cli.columns.command"  # which Ctrl-C ends, and which runs nobody else's code


def complaints(source: str) -> list[str]:
    """What is asked of an exception that it may answer as it likes, in words."""
    nodes = [*ast.walk(ast.parse(source))]
    flags = {*map(_flag, nodes)}
    wrong: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr in ASKED_OF_ITS_CLASS:
            wrong.append(f"line {node.lineno}: {ast.unparse(node)}: use {ASKED_OF_ITS_CLASS[node.attr]}()")
        if isinstance(node, ast.ExceptHandler) and node.type is not None and ast.unparse(node.type) == "KeyboardInterrupt":
            wrong.append(f"line {node.lineno}: a group may have it inside: ask interrupts()")
        for asked in _conditions(node):
            name = ast.unparse(asked).rpartition(".")[2].lstrip("_")
            if isinstance(asked, ast.Name | ast.Attribute) and name in NAMES - flags:
                wrong.append(f"line {asked.lineno}: the truth value of {ast.unparse(asked)}: say `is not None`")
    return wrong


def _conditions(node: ast.AST) -> Iterator[ast.expr]:
    """What is asked for its truth value."""
    if isinstance(node, ast.BoolOp):
        yield from node.values[:-1]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
        yield node.test


def _flag(node: ast.AST) -> str:
    """The name of what is said to be a bool there; empty if nothing is."""
    if not isinstance(node, ast.arg | ast.AnnAssign) or node.annotation is None or ast.unparse(node.annotation) != "bool":
        return ""
    return node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {HOME, A_PROGRAM}))
def test_no_module_asks_an_exception_what_its_class_may_answer(module: str) -> None:
    assert complaints(source_of(module)) == []


@pytest.mark.parametrize(
    "source",
    [
        "frames = error.__traceback__",
        "cause = crash.error.__cause__",
        "said = self._error or other",
        "if error: pass",
        "given = None if not raised else 1",
        "while failure: pass",
        "try: pass\nexcept KeyboardInterrupt: raise",
    ],
)
def test_the_check_sees_each_way(source: str) -> None:
    assert len(complaints(source)) == 1


def test_the_check_lets_through_what_is_no_question() -> None:
    assert complaints("error.__cause__ = None\nsaid = other or error\nif error is not None: pass") == []
