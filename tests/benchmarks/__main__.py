"""`python -m tests.benchmarks [ROW…]`: the table of goals. With `--against PATH`: this checkout beside another one.

`… ablation [ROW…]`: which feature costs what. `… scale`: cost as work grows. `… peers`: beside other libraries.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from . import ablation, peers, scale
from .against import PAIRS, against, listed, status
from .backend import BACKENDS, Backend, missing
from .checkout import HERE, checkout
from .gate import gate
from .measurement import Measurement, measure, pair
from .row import Row
from .rows import UnknownRow, chosen
from .sampler import SampleFailed, Sampler
from .table import as_json, head, line, machine


def main(arguments: Sequence[str] | None = None, sampler: Sampler | None = None) -> int:
    """1 if the gate fails, or a row is slower than there; 2 if something, or all of it, couldn't be measured; 0 otherwise."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["scale"]:
            return scale.main(words[1:])
        if words[:1] == ["peers"]:
            return peers.main(words[1:])
        if words[:1] == ["ablation"]:
            return ablation.main(words[1:], sampler)
        return _rows(words, sampler or Sampler())
    except SampleFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _rows(words: Sequence[str], sampler: Sampler) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="G1, G2, … (default: all)")
    parser.add_argument("--backend", choices=(*BACKENDS, "all"), default="all")
    parser.add_argument("--repeats", type=int, metavar="N", help=f"pairs per row (default: 5; with --against, {PAIRS})")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: for a look, not for a claim")
    parser.add_argument(
        "--against",
        type=checkout,
        metavar="PATH",
        help="time this checkout and the one at PATH in turn; fails if a row is slower",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON alone")
    form.add_argument(
        "--gate",
        action="store_true",
        help="for CI: quick, then with all of the work what is beyond 1.5 x the must, or what was reached (bytes: 1.1 x)",
    )
    given = parser.parse_args(words)
    if given.repeats is not None and given.repeats < 1:
        parser.error("--repeats: 1 or more")
    if given.against is not None and given.gate:
        parser.error("--gate with --against: give one of them; --gate compares with written limits, --against with a checkout")
    try:
        rows = chosen(given.rows)
    except UnknownRow as error:
        parser.error(str(error))
    say = partial(print, file=sys.stderr if given.json else sys.stdout, flush=True)
    quick: bool = given.quick or given.gate
    say(f"{machine()}{'; quick: less work than the rows say' if quick else ''}")
    wanted: list[tuple[Row, Backend]] = [(row, backend) for row in rows for backend in _backends(row, given.backend)]
    for why in dict.fromkeys(missing(backend) for _, backend in wanted):
        if why is not None:
            say(f"{why}: its rows are left out")
    wanted = [(row, backend) for row, backend in wanted if missing(backend) is None]
    if given.against is not None:
        say(f"here: {HERE.root}; there: {given.against.root}")
        for side in (HERE, given.against):
            side.prove()
        pairs = given.repeats or PAIRS
        compared = against(wanted, Sampler(HERE.take), Sampler(given.against.take), pairs, say, quick=quick)
        if given.json:
            print(listed(compared))
        return status(compared)
    pair(wanted, sampler, quick=quick)
    if given.gate:
        return 0 if gate(wanted, sampler, given.repeats or 5, say) else 1
    seen: list[Measurement] = []
    say(head())
    for row, backend in wanted:
        seen.append(measure(row, backend, sampler, range(given.repeats or 5), quick=quick))
        say(line(seen[-1]))
    if given.json:
        print(as_json(seen))
    return 0


def _backends(row: Row, name: str) -> list[Backend]:
    return [backend for backend in row.targets if name in (backend, "all")]


if __name__ == "__main__":
    sys.exit(main())
