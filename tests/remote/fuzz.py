"""Frames by the million, mutated from valid ones: only declared errors leave, and nothing piles up.

    python -m tests.remote.fuzz --frames 1000000 --seed 1

They go through the reader, the decoders of bodies and the greeting of both sides, in chunks cut at random. It exits with 1
if anything but a `ProtocolError` that names a rule left, if less than a tenth was decoded, if a rule was never broken, or
if memory grew. What failed is printed so that `FOUND` in `test_fuzz.py` can hold it.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final, NamedTuple, TypeAlias

import msgspec

from supervise.errors import ProtocolError
from supervise.remote.greeting import Answering, Dialing, Greeted
from supervise.wire.bodies import (
    DownBody,
    EndedBody,
    ErrorBody,
    Goodbye,
    Hello,
    MissedBody,
    SubscribeBody,
    decode_body,
    encode_body,
    plain,
)
from supervise.wire.frames import GREETING, RULES, Frame, FrameReader, Kind, encode
from supervise.wire.table import Serves

from .mutations import MUTATIONS, PAYLOADS, TALKS, answering, as_it_is, dialing

Machine: TypeAlias = Dialing | Answering
BODIES: Final[dict[Kind, type[msgspec.Struct]]] = {
    Kind.HELLO: Hello,
    Kind.SERVES: Serves,
    Kind.GOODBYE: Goodbye,
    Kind.ERROR: ErrorBody,
    Kind.DOWN: DownBody,
    Kind.SUBSCRIBE: SubscribeBody,
    Kind.ENDED: EndedBody,
    Kind.MISSED: MissedBody,
}
LIMITS: Final = (2048, *[GREETING] * 5, 1 << 20)
GROWN: Final = 256 * 1024
"""Bytes that may be more at the end than after a tenth: caches, and what was just in hand."""


def admitted() -> Answering:
    gate = answering()
    gate.take(TALKS[0][0])
    gate.admit()
    return gate


def answered() -> Dialing:
    here = dialing()
    here.take(TALKS[1][0])
    return here


SIDES: Final[dict[str, Callable[[], Machine]]] = {
    "dialing": dialing,
    "answering": answering,
    "admitted": admitted,
    "answered": answered,
}


class Input(NamedTuple):
    """What comes over one connection: to whom, under which limit, in which chunks."""

    side: str
    limit: int
    chunks: list[bytes]


class Escaped(Exception):
    """Something else left than what is declared; `.input` is what did it."""

    def __init__(self, given: Input, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}\n{tuple(given)!r},")
        self.input = given


def feed(given: Input, counts: Counter[str]) -> None:
    """One connection: after a broken rule the next chunk goes to a new reader. Raises `Escaped`."""
    try:
        reader, machine = FrameReader(given.limit), SIDES[given.side]()
        for chunk in given.chunks:
            try:
                for frame in reader.feed(chunk):
                    counts["decoded"] += 1
                    look_at(frame, counts)
                    machine = greet(machine, frame, given.side, counts)
            except ProtocolError as error:
                counts[f"frame refused by {declared(error)}"] += 1
                reader = FrameReader(given.limit)
            if reader.partial > given.limit + 4:
                raise AssertionError(f"{reader.partial} bytes wait")
    except Exception as error:
        raise Escaped(given, error) from error


def declared(error: ProtocolError) -> str:
    """The rule, if it is one, and the text one for a log."""
    text = str(error)
    if error.rule not in RULES or not text.isprintable() or len(text) > 400 or "secret" in text:
        raise AssertionError(f"not as it should be said: {text[:1000]!r}")
    return error.rule


def look_at(frame: Frame, counts: Counter[str]) -> None:
    """Its body is one, or breaks a rule; and whatever was read can be written and read again."""
    if [*FrameReader(1 << 20).feed(encode(frame))] != [frame]:
        raise AssertionError(f"{frame} isn't what is read again")
    kind = BODIES.get(frame.kind)
    if kind is None:
        return
    try:
        body = decode_body(kind, frame.body)
        if isinstance(body, ErrorBody):
            plain(body)
    except ProtocolError as error:
        counts[f"body refused by {declared(error)}"] += 1
        return
    counts["bodies decoded"] += 1
    if encode_body(decode_body(kind, encode_body(body))) != encode_body(body):
        raise AssertionError(f"{body} isn't what is read again")


def greet(machine: Machine, frame: Frame, side: str, counts: Counter[str]) -> Machine:
    """What a side of the greeting says to it. One that is over is followed by another one."""
    try:
        step = machine.take(frame)
        if isinstance(step.fact, Greeted) and isinstance(machine, Answering):
            step = machine.admit()
        if step.fact is not None:
            counts[f"greeting: {type(step.fact).__name__}"] += 1
    except ProtocolError as error:
        counts[f"greeting refused by {declared(error)}"] += 1
    return SIDES[side]() if machine.over else machine


def inputs(frames: int, random: Random) -> Iterator[Input]:
    """So many frames, over connections of some each."""
    while frames > 0:
        talk = random.random() < 0.4
        payloads = (
            [encode(frame)[4:] for frame in random.choice(TALKS)] if talk else random.choices(PAYLOADS, k=random.randint(1, 20))
        )
        if not talk and random.random() < 0.7:  # each is another, and comes for itself: so what follows a broken one counts
            stream = [random.choice(MUTATIONS)(random, one) for one in payloads]
            chunks = stream = stream[:frames]
        else:
            other = random.randrange(len(payloads))
            stream = [(random.choice(MUTATIONS) if n == other else as_it_is)(random, one) for n, one in enumerate(payloads)]
            stream = stream[:frames]
            chunks = [*cut(random, b"".join(stream))]
        frames -= len(stream)
        yield Input(random.choice([*SIDES]), random.choice(LIMITS), chunks)


def cut(random: Random, data: bytes) -> Iterator[bytes]:
    """All at once, byte by byte, or anyhow."""
    way = random.random()
    if way < 0.2:
        yield data
    elif way < 0.25:
        yield from (data[n : n + 1] for n in range(min(len(data), 3000)))
    else:
        while data:
            size = random.choice([1, 3, 4, 5, 50, 500, 5000])
            yield data[:size]
            data = data[size:]


def fuzz(frames: int, seed: int, measured: Callable[[], None] = lambda: None) -> Counter[str]:
    """Raises `Escaped`. `measured` is called after each tenth."""
    counts: Counter[str] = Counter()
    random = Random(seed)
    for tenth in range(10):
        for given in inputs(frames * (tenth + 1) // 10 - frames * tenth // 10, random):
            feed(given, counts)
        measured()
    return counts


LINKS_OWN: Final = "credit"
"""A rule that only a link that is up can break."""


def complaints(frames: int, counts: Counter[str]) -> list[str]:
    """What speaks against the run itself."""
    broken = {line.rpartition(" ")[2] for line in counts if "refused by" in line}
    found = [f"no frame broke the rule {rule!r}" for rule in RULES if rule not in {*broken, LINKS_OWN}]
    if counts["decoded"] < frames / 10:
        found.append(f"only {counts['decoded']} of {frames} frames were decoded")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if something failed, 0 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.remote.fuzz", description="Mutated frames.")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    memory: list[int] = []

    def measured() -> None:
        gc.collect()
        memory.append(tracemalloc.get_traced_memory()[0])

    began = time.monotonic()
    tracemalloc.start()
    try:
        counts = fuzz(options.frames, options.seed, measured)
        most = tracemalloc.get_traced_memory()[1]
    except Escaped as escaped:
        print(f"FAILED with seed {options.seed}: {escaped}")
        return 1
    finally:
        tracemalloc.stop()
    print(f"{options.frames} frames, seed {options.seed}, {time.monotonic() - began:.0f} s")
    for line, number in sorted(counts.items()):
        print(f"  {line:<28}{number:>10}{100 * number / options.frames:>8.2f} %")
    print(f"  memory: {', '.join(f'{one / 1024:.0f}' for one in memory)} KiB after each tenth, at most {most / 1024:.0f} KiB")
    wrong = complaints(options.frames, counts)
    if memory[-1] > memory[0] + GROWN:
        wrong.append(f"memory grew by {memory[-1] - memory[0]} bytes")
    print(*[f"FAILED: {line}" for line in wrong], sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
