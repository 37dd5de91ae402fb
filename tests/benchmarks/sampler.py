"""Takes the samples: each in a fresh process, and each figure beside its baseline's, seconds apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias, cast

from .backend import Backend
from .contestant import CONTESTANTS
from .row import Side
from .sample import Sample

Take: TypeAlias = Callable[[str, str, int, Backend], Sample]
"""Contestant, workload, size, backend."""

HANG: Final = 600.0
"""Seconds; ten times what the slowest sample takes on a slow machine."""


class SampleFailed(Exception):
    """A worker ended with an error, or didn't end."""


class NoSuchWork(SampleFailed):
    """The worker knows no such contestant, or the contestant no such workload."""


def in_fresh_process(contestant: str, workload: str, size: int, backend: Backend) -> Sample:
    """With the modules of this process."""
    return ask_worker(contestant, workload, size, backend, [path or os.getcwd() for path in sys.path])


def ask_worker(
    contestant: str, workload: str, size: int, backend: Backend, path: Sequence[str], root: Path | None = None
) -> Sample:
    """A sample of the worker that is found in this folder (if none is given, in the current one), or else on this path."""
    words = ["-m", f"{__package__}.worker", contestant, workload, str(size), "--backend", backend]
    what = f"{contestant} {workload} {size} on {backend}{f' in {root}' if root is not None else ''}"
    done = fresh_process(words, path, root, what)
    if done.returncode:
        last = "".join(done.stderr.strip().splitlines()[-1:])
        unknown = last == f"KeyError: {workload!r}" or f"invalid choice: {contestant!r}" in last
        raise (NoSuchWork if unknown else SampleFailed)(f"{what}: {last or f'exit code {done.returncode}'}")
    return cast(Sample, json.loads(done.stdout.strip().splitlines()[-1]))


def fresh_process(words: Sequence[str], path: Sequence[str], root: Path | None, what: str) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, in this folder, and with this `PYTHONPATH` instead of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path)}
    try:
        return subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, timeout=HANG, env=environment, cwd=root, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise SampleFailed(f"{what}: not done after {HANG:g} s") from error


class Sampler:
    """Remembers what it took: rows that look at different figures of one sample share it."""

    def __init__(self, take: Take = in_fresh_process) -> None:
        self._take = take
        self._taken: dict[tuple[Side, int, Backend, int], Sample] = {}
        self._baselines: dict[tuple[Side, int, Backend], Side] = {}

    def pair(self, subject: Side, baseline: Side, size: int, backend: Backend) -> None:
        """From now on this baseline is taken right before the subject, whichever row asks for the subject first."""
        self._baselines[subject, size, backend] = baseline

    def take(self, side: Side, size: int, backend: Backend, repeat: int) -> Sample:
        """The sample of this repeat. A contestant that doesn't run on the backend runs on its own."""
        key = (side, size, backend, repeat)
        if key not in self._taken:
            baseline = self._baselines.get((side, size, backend))
            if baseline is not None:
                self.take(baseline, size, backend, repeat)
            backends = CONTESTANTS[side.contestant].backends
            where = backend if backend in backends else backends[0]
            self._taken[key] = self._take(side.contestant, side.workload, size, where)
        return self._taken[key]
