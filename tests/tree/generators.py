"""Hypothesis strategies for whole plays: a tree of actors, and what happens to it, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final, Literal, TypeAlias

from hypothesis import strategies as st

Deed: TypeAlias = Literal[
    "note",
    "note at once",
    "sleep",
    "crash",
    "sleep, then crash",
    "crash in a group",
    "raise what is expected",
    "begin a task",
    "begin a task that crashes",
    "stop",
    "relay",
    "beside",
    "beside, then crash",
    "set a timer",
    "tick for ever",
    "pipe to oneself",
    "pipe a failure to oneself",
    "ask for oneself",
    "ask for another",
    "read another",
    "read oneself",
    "read what calls back",
    "hand on",
]
Way: TypeAlias = Literal[
    "send",
    "try_send",
    "call",
    "call in time",
    "send in time",
    "call or fail",
    "stream",
    "stream in time",
    "stream or fail",
]
Upset: TypeAlias = Literal[
    "kill",
    "kill inner",
    "terminate",
    "restart",
    "delete",
    "pause",
    "resume",
    "stop",
    "ping",
    "drop",
    "operator stop",
    "operator start",
    "operator restart",
    "operator limit",
    "start one more",
    "start a subtree",
    "end a subtree",
    "instance",
]
Nudge: TypeAlias = Literal[
    "write",
    "kill",
    "pause",
    "resume",
    "stop",
    "ping",
    "instance",
    "terminate",
    "restart",
    "delete",
    "operator stop",
    "operator start",
    "operator restart",
]
Greeting: TypeAlias = Literal["nothing", "send", "call", "instance", "stream"]
Overflow: TypeAlias = Literal["wait", "reject", "drop_oldest", "drop_newest"]

ACTORS: Final = ("a", "b", "inner/c", "inner/d")
SENDERS: Final = 3
NO_KEY: Final = -1
"""Of a message that the key function raises for."""


@dataclass(frozen=True)
class Part:
    """How one actor is made."""

    capacity: int
    overflow: Overflow
    lanes: Literal["none", "strict", "fair"]
    redeliver: int
    restart: Literal["permanent", "transient", "temporary"]
    managed: bool
    slow_start: bool
    wait: float
    drain: bool
    handler_deadline: float | None
    limit: int | None
    """How many restarts of its own it has in five seconds."""
    lives_by_addresses: bool
    redeliver_wait: float
    on_error: Literal["crash", "reply"]
    on_cancel: Literal["finish", "cancel"]
    quarantine: int | None
    counted: bool
    """Whether the restarts that wait are counted."""
    retry_start: bool
    fails_first: int
    """How many of its first starts fail, where they are tried again."""
    start_within: float | None
    """A start that fails hangs rather than raises, where that is bounded."""
    concurrency: int | None
    size: int
    """How many workers it is a pool of; 0: it is an actor."""
    keyed: bool
    pool_intensity: int
    friend: int
    """Whose address its factory gets."""
    greeting: Greeting
    """What it does in its start with that."""


@dataclass(frozen=True)
class Cast:
    """The tree: a and b below the root, c and d below a supervisor of their own."""

    parts: tuple[Part, ...]
    strategy: Literal["one_for_one", "one_for_all", "rest_for_one"]
    inner_strategy: Literal["one_for_one", "one_for_all", "rest_for_one"]
    inner_intensity: int
    native: bool
    """Senders are cancelled by `task.cancel()`, where the backend has it, and not by scopes."""


@dataclass(frozen=True)
class Reading:
    """What a generator yields, and how its reader takes that."""

    takes: int | None = None
    """After how many items the reader leaves; None: it reads to the end."""
    items: int = 5
    at: int = 0
    """Before which of them the generator does its deed."""
    gap: float = 0.0
    """Seconds before each of the first items."""
    pace: float = 0.0
    """Seconds after each of the first items that the reader takes."""
    buffer: int = 1
    slow_close: bool = False
    calls: bool = False
    """The reader calls the actor that it reads from, after the first item."""


@dataclass(frozen=True)
class Say:
    """A sender writes to an actor, so many times, when it is done with what it was told before."""

    times: int
    sender: int
    to: int
    way: Way
    deed: Deed
    seconds: float
    then: int
    urgent: bool
    """Through the urgent lane, where there are lanes."""
    weak: bool
    """By a weak address."""
    key: int | None
    """Of the message, to a pool by key."""
    alone: bool
    """To one of the workers, by its own address."""
    reading: Reading
    """Of a stream, whoever reads it."""


@dataclass(frozen=True)
class Cancel:
    """What a sender waits for is cancelled."""

    sender: int


@dataclass(frozen=True)
class Disturb:
    """Somebody changes the tree."""

    what: Upset
    actor: int


@dataclass(frozen=True)
class TurnTo:
    """Somebody turns to one worker of a pool."""

    what: Nudge
    actor: int
    worker: int
    woken: bool
    """In the turn in which somebody is woken for a message to the pool, maybe it."""


@dataclass(frozen=True)
class Resize:
    """A pool gets another number of workers; who asks for it may not wait for that."""

    actor: int
    size: int
    patience: float
    operator: bool


@dataclass(frozen=True)
class FailStart:
    """The next start of an actor fails."""

    actor: int


@dataclass(frozen=True)
class Pass:
    """Time passes; 0: all runs that can."""

    seconds: float


Step: TypeAlias = Say | Cancel | Disturb | TurnTo | Resize | FailStart | Pass

_seconds = st.sampled_from([0.0, 0.1, 0.5, 2.0])
_actor = st.integers(0, len(ACTORS) - 1)
_sender = st.integers(0, SENDERS - 1)

parts: st.SearchStrategy[Part] = st.builds(
    Part,
    capacity=st.sampled_from([1, 2, 3, 20]),
    overflow=st.sampled_from(["wait", "wait", "wait", "reject", "drop_oldest", "drop_newest"]),
    lanes=st.sampled_from(["none", "none", "strict", "fair"]),
    redeliver=st.sampled_from([0, 0, 1, 2]),
    restart=st.sampled_from(["permanent", "permanent", "permanent", "transient", "transient", "temporary"]),
    managed=st.booleans(),
    slow_start=st.booleans(),
    wait=st.sampled_from([0.0, 0.0, 1.0]),
    drain=st.booleans(),
    handler_deadline=st.sampled_from([None, None, 0.4]),
    limit=st.sampled_from([None, None, None, 1]),
    lives_by_addresses=st.sampled_from([False, False, False, True]),
    redeliver_wait=st.sampled_from([0.0, 0.0, 0.3]),
    on_error=st.sampled_from(["crash", "crash", "reply"]),
    on_cancel=st.sampled_from(["finish", "finish", "cancel"]),
    quarantine=st.sampled_from([None, None, 1, 2]),
    counted=st.sampled_from([False, False, True]),
    retry_start=st.booleans(),
    fails_first=st.sampled_from([0, 0, 0, 1, 2]),
    start_within=st.sampled_from([None, 5.0]),
    concurrency=st.sampled_from([None, None, None, 1, 2, 3]),
    size=st.sampled_from([0, 0, 0, 0, 1, 2, 2, 3]),
    keyed=st.booleans(),
    pool_intensity=st.sampled_from([1, 1000, 1000]),
    friend=_actor,
    greeting=st.sampled_from(["nothing", "nothing", "nothing", "send", "call", "call", "instance", "stream"]),
)
casts: st.SearchStrategy[Cast] = st.builds(
    Cast,
    parts=st.tuples(parts, parts, parts, parts),
    strategy=st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
    inner_strategy=st.sampled_from(["one_for_one", "one_for_all"]),
    inner_intensity=st.sampled_from([1, 1000]),
    native=st.booleans(),
)

_quiet: list[Deed] = [
    "note",
    "note at once",
    "sleep",
    "begin a task",
    "raise what is expected",
    "beside",
    "set a timer",
    "ask for another",
    "read another",
]
_loud: list[Deed] = [
    "crash",
    "sleep, then crash",
    "crash in a group",
    "begin a task that crashes",
    "stop",
    "relay",
    "beside, then crash",
    "tick for ever",
    "pipe to oneself",
    "pipe a failure to oneself",
    "ask for oneself",
    "read oneself",
    "read what calls back",
    "hand on",
]
_ways: list[Way] = [
    "send",
    "send",
    "call",
    "call",
    "try_send",
    "call in time",
    "send in time",
    "call or fail",
    "stream",
    "stream",
    "stream in time",
    "stream or fail",
]
_readings: list[Reading] = [
    Reading(*each)
    for each in product(
        (None, None, 1, 3, 0),
        (5, 1, 40, 0),
        (0, 1, 3, 20),
        (0.0, 0.0, 0.1),
        (0.0, 0.0, 0.1, 0.5),
        (1, 2, 16),
        (False, True),
        (False, True),
    )
]
"""Drawn as one: to draw each of its fields takes its time, in each message."""


def _says() -> st.SearchStrategy[Say]:
    return st.builds(
        Say,
        times=st.sampled_from([1, 1, 1, 2, 5]),
        sender=_sender,
        to=_actor,
        way=st.sampled_from(_ways),
        deed=st.sampled_from([*_quiet, *_quiet, *_quiet, *_loud]),
        seconds=_seconds,
        then=_actor,
        urgent=st.booleans(),
        weak=st.booleans(),
        key=st.sampled_from([0, 0, 0, 0, 1, None, NO_KEY]),
        alone=st.sampled_from([False, False, False, False, True]),
        reading=st.sampled_from(_readings),
    )


disturbances: st.SearchStrategy[Disturb] = st.builds(
    Disturb,
    what=st.sampled_from(
        [
            "kill",
            "kill",
            "kill inner",
            "terminate",
            "restart",
            "restart",
            "delete",
            "pause",
            "pause",
            "pause",
            "resume",
            "resume",
            "resume",
            "stop",
            "ping",
            "drop",
            "operator stop",
            "operator start",
            "operator restart",
            "operator limit",
            "start one more",
            "start a subtree",
            "start a subtree",
            "start a subtree",
            "end a subtree",
            "end a subtree",
            "end a subtree",
            "instance",
            "instance",
        ]
    ),
    actor=_actor,
)
turns: st.SearchStrategy[TurnTo] = st.builds(
    TurnTo,
    what=st.sampled_from(
        [
            "write",
            "write",
            "kill",
            "kill",
            "pause",
            "resume",
            "stop",
            "ping",
            "instance",
            "terminate",
            "restart",
            "delete",
            "operator stop",
            "operator start",
            "operator restart",
        ]
    ),
    actor=_actor,
    worker=st.integers(1, 3),
    woken=st.booleans(),
)
resizes: st.SearchStrategy[Resize] = st.builds(
    Resize,
    actor=_actor,
    size=st.integers(1, 4),
    patience=st.sampled_from([0.0, 1.0, 1e6, 1e6]),
    operator=st.booleans(),
)
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(  # each as often as the others, if they aren't the same object
        *(_says() for _ in range(7)), st.builds(Cancel, _sender), disturbances, turns, resizes,
        st.builds(FailStart, _actor), st.builds(Pass, _seconds), st.builds(Pass, _seconds), st.builds(Pass, st.just(0.0)),
    ),
    min_size=15,
    max_size=60,
)  # fmt: skip
