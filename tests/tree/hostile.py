"""Hostile plays from the command line: one, as a failing test prints it, or thousands.

    python -m tests.tree.hostile --backend trio --seed 123 -v
    python -m tests.tree.hostile --backend asyncio --from-seed 0 --examples 20000
    python -m tests.tree.hostile --backend asyncio --seed 123 --shrink

`--only factory,handler` and `--without queue` choose the kinds of hostile code; `--deeds` lets only those deeds happen.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections import defaultdict

from .hostile_play import Failure, HostilePlay
from .malice import KINDS


def command(backend: str, seed: int, extra: str = "") -> str:
    """What runs this example alone."""
    return f"python -m tests.tree.hostile --backend {backend} --seed {seed}{extra}"


def play(
    backend: str, seed: int, among: frozenset[str], deeds: frozenset[str] | None = None
) -> tuple[HostilePlay, list[Failure]]:
    example = HostilePlay(backend, seed, among, deeds)
    return example, example.run()


def shrink(backend: str, seed: int, among: frozenset[str], kind: str) -> list[str]:
    """As few of its deeds as still fail in the same way."""
    example, _ = play(backend, seed, among)
    kept = [deed.id for deed in example.malice.deeds]
    size = max(1, len(kept) // 2)
    while True:
        for begin in range(0, len(kept), size):
            fewer = kept[:begin] + kept[begin + size :]
            _, failures = play(backend, seed, among, frozenset(fewer))
            if failures and failures[0].kind.partition(" (")[0] == kind.partition(" (")[0]:  # whatever was raised last
                kept = fewer
                break
        else:
            if size == 1:
                return kept
            size = max(1, size // 2)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tree.hostile", description="Hostile plays.")
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--from-seed", type=int, default=0)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--only", default="", help=f"of {','.join(KINDS)}")
    parser.add_argument("--without", default="")
    parser.add_argument("--deeds", help="their ids, with commas between")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    said = parser.parse_args()
    among = frozenset(said.only.split(",") if said.only else KINDS) - frozenset(said.without.split(","))
    if unknown := among - {*KINDS}:
        parser.error(f"no such kind: {', '.join(unknown)}")
    if said.seed is not None:
        return _one(said, among)
    begun = time.perf_counter()
    found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for seed in range(said.from_seed, said.from_seed + said.examples):
        example, failures = play(said.backend, seed, among)
        if failures:
            found[failures[0].kind].append((len(example.malice.deeds), seed))
            if said.verbose:
                print(seed, failures[0], flush=True)
        if seed == said.from_seed:  # what the first play imports is a lot, too, and each play looks through all garbage
            gc.collect()
            gc.freeze()
    failed = sum(map(len, found.values()))
    print(f"{said.examples} examples on {said.backend}, {failed} failed, {time.perf_counter() - begun:.1f} s")
    for kind, seeds in sorted(found.items(), key=lambda item: -len(item[1])):
        first, *others = (seed for _, seed in sorted(seeds)[:5])  # those with the fewest deeds
        print(f"{len(seeds):5}  {kind}; seeds {', '.join(map(str, (first, *others)))}")
        print(f"       {command(said.backend, first, ' -v')}")
    return 1 if failed else 0


def _one(said: argparse.Namespace, among: frozenset[str]) -> int:
    deeds = None if said.deeds is None else frozenset(said.deeds.split(","))
    example, failures = play(said.backend, said.seed, among, deeds)
    if said.shrink and failures:
        kept = shrink(said.backend, said.seed, among, failures[0].kind)
        example, failures = play(said.backend, said.seed, among, frozenset(kept))
        print(f"--deeds '{','.join(kept)}'")
    if said.verbose:
        for line in example.malice.notes:
            print(line)
    for failure in failures:
        print(f"{failure.kind}\n    {failure.text}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
