"""Takes the samples: each in a fresh process, and each figure beside its baseline's, seconds apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
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


def in_fresh_process(contestant: str, workload: str, size: int, backend: Backend) -> Sample:
    command = [sys.executable, "-m", f"{__package__}.worker", contestant, workload, str(size), "--backend", backend]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    what = f"{contestant} {workload} {size} on {backend}"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANG, env=environment, check=False)
    except subprocess.TimeoutExpired as error:
        raise SampleFailed(f"{what}: not done after {HANG:g} s") from error
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise SampleFailed(f"{what}: {' '.join(last) or f'exit code {done.returncode}'}")
    return cast(Sample, json.loads(done.stdout.strip().splitlines()[-1]))


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
