"""The kill loop: a busy program gets SIGINT, once or twice, at a random instant; it has to end in time, and to leave nothing.

    python -m tests.cli.kill_loop --runs 200 [--seed 7] [--backend trio] [--kind bare] [--at-once 2]

Each run has a seed, which is told with its failure: `--runs 1 --kind bare --backend trio --seed 107` is that run again, as far
as the processor lets it be. Two kinds of program: `run` under `supervise run`, where something swallows its cancellation, and
`bare`, which calls `anyio.run` itself.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, NamedTuple

from supervise.cli.ending import HURRY
from supervise.tree.place import UNSTOPPABLE_AFTER
from tests.cli.busy import BUDGET, LOST
from tests.cli.command import kill_marked, marked
from tests.house import ROOT

KINDS = ("bare", "run")
BACKENDS = ("asyncio", "trio")
STOP_TIME = {"bare": BUDGET, "run": BUDGET + UNSTOPPABLE_AFTER + HURRY}  # seconds
MORE = 2.0  # seconds beyond the stop time
LAST_WORDS = 10.0  # seconds for a run that hangs to say where it stands, before it is killed
STATUSES = {"bare": {0, 130}, "run": {0, 70, 130}}
BY_SIGNAL = -signal.SIGINT  # Python takes its handlers away at the very end of the interpreter
NEVER = ("TrioInternalError", "a bug in supervise", "Exception ignored")
LINES = 150  # of what a failed run said

# Those that Python writes at the end of a program, and not those of crashes in the log.
TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:  .*\n)+(?:KeyboardInterrupt|trio).*$", re.MULTILINE)
AT_THE_END = re.compile(
    r"^Exception ignored in: <module 'threading' .*\nTraceback .*\n(?:  .*\n)*KeyboardInterrupt: *\n", re.MULTILINE
)
"""Of a signal that comes when the program is over, and Python waits for its threads."""
OURS = re.compile(r'File "[^"]*/supervise(?:_strategies)?/')


class Outcome(NamedTuple):
    seconds: float
    """From the first signal to the end."""
    wrong: str
    """What is wrong with it, in words; empty if nothing is."""
    said: str
    """All of its stderr."""
    lost: bool = False
    """Whether asyncio has lost a step of a task, so nobody could end that."""


class Run(NamedTuple):
    kind: str
    backend: str
    seed: int
    twice: bool

    def outcome(self, more: float) -> Outcome:
        """Do it, and judge it. `more`: seconds beyond its stop time."""
        dice = random.Random(f"{self.kind} {self.backend} {self.seed}")
        mark, within, wrong = uuid.uuid4().hex, STOP_TIME[self.kind] + more, list[str]()
        with self._program(mark) as program, ThreadPoolExecutor(1) as pool:
            assert program.stdin is not None
            assert program.stdout is not None
            assert program.stderr is not None
            heard = pool.submit(program.stderr.read)
            _read_until(program.stdout, dice.choice(("begin", "busy", "busy")))
            time.sleep(dice.uniform(0, 0.3))  # the random instant
            begun = time.monotonic()
            program.send_signal(signal.SIGINT)
            if self.twice:
                time.sleep(dice.choice((0.0, dice.uniform(0, 0.1), dice.uniform(0, 1))))
                program.send_signal(signal.SIGINT)
            try:
                status = program.wait(within)
            except subprocess.TimeoutExpired:
                wrong.append(f"it still ran after {within:g} s")
                _ask_and_kill(program, program.stdin)
            else:
                if status not in STATUSES[self.kind] | {BY_SIGNAL}:
                    wrong.append(f"status {status}")
            seconds = time.monotonic() - begun
            if (left := kill_marked(mark)) and not wrong:
                wrong.append(f"{left} processes were left")
            said = heard.result()
        # The second signal raises KeyboardInterrupt wherever the loop is. If it has just taken a callback from its queue, that
        # never runs: a task that was to be resumed by it never is, nor can it be cancelled. No library can mend this.
        lost = self.twice and LOST in said
        if lost:
            wrong.clear()
        said = AT_THE_END.sub("", said)
        wrong += [word for word in NEVER if word in said]
        if any(OURS.search(traceback) for traceback in TRACEBACK.findall(said)):
            wrong.append("a traceback of the library's own")
        return Outcome(seconds, "; ".join(wrong), said, lost)

    def _program(self, mark: str) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(ROOT), str(ROOT / "strategies")])
        bare = ["-m", "tests.cli.busy", self.backend]
        command = ["-m", "supervise.cli.main", "run", "tests.cli.busy_and_deaf:TREE", "--backend", self.backend]
        return subprocess.Popen(
            [sys.executable, *(bare if self.kind == "bare" else command)],
            cwd=ROOT,
            env={**os.environ, **marked(mark), "PYTHONPATH": path, "BUSY_SEED": str(self.seed)},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


def _read_until(output: IO[str], fact: str) -> None:
    for line in output:
        if line.strip() == fact:
            return


def _ask_and_kill(program: subprocess.Popen[str], stdin: IO[str]) -> None:
    """Where it stands is on its stderr then."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        stdin.write("where?\n")
        stdin.flush()
        program.wait(LAST_WORDS)
    program.kill()
    program.wait()


def plan(runs: int, seed: int, kinds: Sequence[str] = KINDS, backends: Sequence[str] = BACKENDS) -> list[Run]:
    """So many runs, by turns of each kind on each backend, half of them with two signals."""
    pairs = [(kind, backend) for kind in kinds for backend in backends]
    dice = random.Random(seed)
    return [Run(*pairs[n % len(pairs)], seed + n // len(pairs), dice.random() < 0.5) for n in range(runs)]


def outcomes(runs: Sequence[Run], more: float, at_once: int) -> list[tuple[Run, Outcome]]:
    def one(run: Run) -> Outcome:
        return run.outcome(more)

    with ThreadPoolExecutor(at_once) as pool:
        return [*zip(runs, pool.map(one, runs), strict=True)]


def table(done: Sequence[tuple[Run, Outcome]]) -> str:
    """What came of it, and each failure with all that is known of it."""
    lines = ["kind  backend   runs  twice  lost  failed   worst"]
    for kind, backend in sorted({(run.kind, run.backend) for run, _ in done}):
        these = [(run, outcome) for run, outcome in done if (run.kind, run.backend) == (kind, backend)]
        twice, failed = sum(run.twice for run, _ in these), sum(bool(outcome.wrong) for _, outcome in these)
        lost = sum(outcome.lost for _, outcome in these)
        worst = max((outcome.seconds for _, outcome in these if not outcome.lost), default=0.0)
        lines.append(f"{kind:<5} {backend:<8} {len(these):>5} {twice:>6} {lost:>5} {failed:>7} {worst:>6.1f}s")
    for run, outcome in done:
        if outcome.wrong:
            lines += ["", f"{run.kind} {run.backend} --seed {run.seed}{' --twice' if run.twice else ''}: {outcome.wrong}"]
            lines += [f"    {line}" for line in outcome.said.splitlines()[-LINES:]]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cli.kill_loop", description="SIGINT at random instants.")
    parser.add_argument("--runs", type=int, default=200, metavar="N", help="of each kind on each backend, together (200)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the first run; the others follow it (1)")
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="both")
    parser.add_argument("--kind", choices=KINDS, action="append", help="both")
    parser.add_argument("--twice", action="store_true", help="always send two signals; else one or two")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="programs at the same time (2)")
    parser.add_argument("--more", type=float, default=MORE, metavar="SECONDS", help="how much longer a run may take (2)")
    options = parser.parse_args()
    runs = plan(options.runs, options.seed, options.kind or KINDS, options.backend or BACKENDS)
    if options.twice:
        runs = [run._replace(twice=True) for run in runs]
    done = outcomes(runs, options.more, options.at_once)
    print(table(done))
    return 1 if any(outcome.wrong for _, outcome in done) else 0


if __name__ == "__main__":
    sys.exit(main())
