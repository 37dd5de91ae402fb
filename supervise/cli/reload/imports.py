"""What a module imports when it is imported itself, by its source.

What stands in a function is left out: it is imported anew whenever the function runs. So is what is for type checkers alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from types import ModuleType


def imported_by(source: bytes, module: ModuleType) -> frozenset[str]:
    """The names of all that may be modules: of `from shop import orders` both `shop` and `shop.orders`.

    SyntaxError, or ValueError for a null byte.
    """
    package: object = vars(module).get("__package__")
    return frozenset(_names(ast.parse(source), package if type(package) is str else ""))


def _names(tree: ast.Module, package: str) -> Iterator[str]:
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname is None:  # it binds the outermost package, through which all on the way can be reached
                    yield from _above(alias.name)
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                try:
                    base = resolve_name("." * node.level + base, package)
                except ImportError:  # it goes up too far, and raises
                    continue
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo.extend(node.decorator_list if not isinstance(node, ast.Lambda) else ())
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            todo.extend(node.orelse)
        else:
            todo.extend(ast.iter_child_nodes(node))


def _above(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name
