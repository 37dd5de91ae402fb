"""A checkout of this project: this one, or another one beside it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .backend import Backend
from .sample import Sample
from .sampler import SampleFailed, ask_worker, fresh_process

_MODULES: Final = {
    "supervise": "supervise/__init__.py",
    "supervise_strategies": "strategies/supervise_strategies/__init__.py",
    "tests.benchmarks": "tests/benchmarks/__init__.py",
}
"""What a worker measures, and the worker itself; and where a checkout has them."""

_IMPORT: Final = """
import importlib, json, sys
print(json.dumps({name: importlib.import_module(name).__file__ for name in sys.argv[1:]}))
"""


@dataclass(frozen=True, slots=True)
class Checkout:
    root: Path

    @property
    def path(self) -> list[str]:
        """All of `PYTHONPATH`: what the caller has there may lead to another checkout. An editable install comes after it."""
        return [str(self.root), str(self.root / "strategies")]

    def take(self, contestant: str, workload: str, size: int, backend: Backend) -> Sample:
        """By its own worker."""
        return ask_worker(contestant, workload, size, backend, self.path, self.root)

    def prove(self) -> None:
        """Raise if its worker would measure another checkout. Seen from outside, since an older worker doesn't look itself."""
        done = fresh_process(["-c", _IMPORT, *_MODULES], self.path, self.root, f"imports in {self.root}")
        if done.returncode:
            raise SampleFailed(
                f"imports in {self.root}: {''.join(done.stderr.strip().splitlines()[-1:]) or f'exit code {done.returncode}'}"
            )
        found: dict[str, str | None] = json.loads(done.stdout.strip().splitlines()[-1])
        for name, file in _MODULES.items():
            if Path(found[name] or "").resolve() != self.root / file:
                raise SampleFailed(
                    f"in {self.root}, {name} would be imported from {found[name]}, and be measured instead of the checkout's"
                    f" own: take out of {sys.prefix} what puts that first on sys.path, or run with another environment's python"
                )


HERE: Final = Checkout(Path(__file__).resolve().parents[2])


def checkout(path: str) -> Checkout:
    """For argparse: the checkout whose root this is."""
    root = Path(path).resolve()
    if not path or root == HERE.root:
        raise argparse.ArgumentTypeError(
            f"{path!r} is this checkout itself: give another one; make it with `git worktree add PATH COMMIT`"
        )
    for file in (*_MODULES.values(), "tests/benchmarks/worker.py"):
        if not (root / file).is_file():
            raise argparse.ArgumentTypeError(
                f"{path!r} is not the root of a checkout of this project: there is no {file} in it;"
                " make one with `git worktree add PATH COMMIT`"
            )
    return Checkout(root)
