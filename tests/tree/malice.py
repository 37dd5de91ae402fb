"""Hostile code: what it raises, how it blocks, and when it calls back; all of it follows from a seed.

Each place where hostile code runs is a `Site` with a chance of its own, drawn in the order in which that place is called: what
happens elsewhere doesn't change it. A deed that was left out (`Malice.only`) draws all the same, so an example can be made
smaller.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from random import Random
from types import FrameType
from typing import Any, Final, NamedTuple, TypeAlias

from supervise import ActorCrashed, HandlerLate, IgnoreStart, MailboxClosed, UnknownHandler

HERE: Final = os.path.dirname(__file__)

RATES: Final = {
    "factory": 0.4, "hook": 0.35, "handler": 0.35, "concurrent": 0.3, "nursery": 0.6, "timer": 0.5, "pipe": 0.5,
    "task": 0.5, "stream": 0.3, "watch": 0.5, "cancelled": 0.6, "policy": 0.35, "predicate": 0.6, "repr": 0.2, "error": 0.6,
    "queue": 0.04, "listener": 0.08, "log": 0.05, "instrument": 0.02, "metrics": 0.5, "expects": 0.4, "callable": 0.15,
    "subscriber": 0.3, "dead letter": 0.3, "snapshot": 0.4, "redelivery": 0.35,
    "key": 0.2, "generator": 0.25, "reader": 0.25,
}  # fmt: skip
"""Each kind of hostile code, and how likely it misbehaves when it is called."""

KINDS: Final = tuple(RATES)
ENDS_BY_SYSTEM_EXIT: Final = frozenset(
    {"factory", "hook", "handler", "concurrent", "nursery", "timer", "pipe", "task", "stream", "watch", "cancelled", "policy",
     "redelivery", "callable", "generator", "reader"}
)  # fmt: skip
"""From where SystemExit ends the tree; from all other code that is called it is logged."""

BUDGET: Final = 60
"""Deeds in one example: so that each comes to an end."""

NowCall: TypeAlias = tuple[str, Callable[[], object]]
LaterCall: TypeAlias = tuple[str, Callable[[], Awaitable[object]]]


class Wicked(Exception):
    """An ordinary one."""


class Wickeder(BaseException):
    """Not an `Exception`."""


class Deed(NamedTuple):
    """One act of hostile code."""

    id: str
    kind: str
    at: float
    what: str

    def __str__(self) -> str:
        return f"{self.at:8.2f}  {self.id:40} {self.what}"


class Malice:
    """All hostile code of one example."""

    def __init__(self, seed: int, kinds: frozenset[str], only: frozenset[str] | None = None) -> None:
        self.seed = seed
        self.kinds = kinds
        self.only = only
        self.awake = False
        self.deeds: list[Deed] = []
        self.notes: list[Deed] = []
        """The deeds, and what else is worth to be told."""
        self.raised: list[tuple[BaseException, str, bool]] = []
        """What was raised, by which kind, and whether the tree ran then."""
        self.caught: set[int] = set()
        """By identity: what came back to hostile code, or to the audience, and ended there."""
        self.now: Callable[[], float] = lambda: 0.0
        self.jump: Callable[[float], object] = lambda _: None
        self.runs: Callable[[], bool] = lambda: False
        self.call_now: Callable[[Random], NowCall | None] = lambda _: None
        self.call_later: Callable[[Random], LaterCall | None] = lambda _: None
        self.cancelled: type[BaseException] = asyncio.CancelledError
        self.jumped = 0.0
        self._depth = 0
        self._sites: dict[tuple[str, str], Site] = {}

    def release(self) -> None:
        """It is over: hold nothing but what is told."""
        self.awake = False
        self.raised.clear()
        self._sites.clear()
        self.call_now = self.call_later = lambda _: None
        self.now = self.runs = lambda: 0  # type: ignore[assignment, return-value]
        self.jump = lambda _: None

    def site(self, kind: str, where: str) -> Site:
        found = self._sites.get((kind, where))
        if found is None:
            found = self._sites[kind, where] = Site(self, kind, where)
        return found

    def note(self, id: str, what: str) -> None:
        self.notes.append(Deed(id, "", self.now(), what))

    @contextmanager
    def asleep(self) -> Generator[None]:
        """Whoever looks isn't harmed."""
        awake, self.awake = self.awake, False
        try:
            yield
        finally:
            self.awake = awake

    @contextmanager
    def within(self) -> Generator[None]:
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def may(self, kind: str, id: str) -> bool:
        if not self.awake or kind not in self.kinds or self._depth > 2 or len(self.deeds) >= BUDGET:
            return False
        return self.only is None or id in self.only

    def swallow(self, error: BaseException) -> None:
        """It ends here, in code that isn't the library's."""
        for leaf in leaves_of(error):
            self.caught.add(id(leaf))

    def did(self, id: str, kind: str, what: str) -> None:
        deed = Deed(id, kind, self.now(), what)
        self.deeds.append(deed)
        self.notes.append(deed)


class Site:
    """One place where hostile code runs."""

    def __init__(self, malice: Malice, kind: str, where: str) -> None:
        self.malice = malice
        self.kind = kind
        self.where = where
        self.rate = RATES[kind]
        self.count = 0
        self.random = Random(f"{malice.seed} {kind} {where}")

    def _draw(self, always: bool) -> tuple[str, Random] | None:
        self.count += 1
        roll, lot = self.random.random(), self.random.getrandbits(64)
        id = f"{self.kind}:{self.where}#{self.count}"
        if (roll < self.rate or always) and self.malice.may(self.kind, id):
            return id, Random(lot)
        return None

    def at_once(self, *, always: bool = False) -> None:
        """Misbehave now, or don't."""
        drawn = self._draw(always)
        if drawn is not None:
            id, chance = drawn
            self._misbehave(id, chance, chance.choice(["raise", "raise", "raise", "raise", "block", "call", "call"]))

    async def later(self) -> None:
        """The same where there is somebody to wait."""
        drawn = self._draw(False)
        if drawn is None:
            return
        id, chance = drawn
        what = chance.choice(["raise", "raise", "raise", "raise", "block", "call", "call later", "call later"])
        found = self.malice.call_later(chance) if what == "call later" else None
        if found is None:
            self._misbehave(id, chance, what)
            return
        self.malice.did(id, self.kind, f"awaits {found[0]}")
        await self.malice_awaits(found[1])

    async def malice_awaits(self, call: Callable[[], Awaitable[object]]) -> None:
        malice = self.malice
        try:
            await call()
        except malice.cancelled:
            raise
        except BaseException as error:
            malice.swallow(error)

    def _misbehave(self, id: str, chance: Random, what: str) -> None:
        malice = self.malice
        if what == "block":
            seconds = chance.choice([0.0, 0.01, 0.4, 2.0])
            malice.did(id, self.kind, f"blocks for {seconds} s")
            malice.jumped += seconds
            malice.jump(seconds)
            until = time.perf_counter() + 2e-5
            while time.perf_counter() < until:
                pass
        elif what == "call" and (found := malice.call_now(chance)) is not None:
            malice.did(id, self.kind, f"calls {found[0]}")
            with malice.within():
                try:
                    found[1]()
                except BaseException as error:
                    malice.swallow(error)
        else:
            made, name = an_error(self, chance, id)
            malice.did(id, self.kind, f"raises {name}")
            for leaf in leaves_of(made):
                malice.raised.append((leaf, self.kind, malice.runs()))
            if is_formatted():
                malice.swallow(made)
            raise made


def is_formatted() -> bool:
    """Whether the interpreter's own `traceback` asks for a text: whatever that raises, Ctrl-C too, it leaves out."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and os.path.dirname(frame.f_code.co_filename) == HERE:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == "_safe_string"


def leaves_of(error: BaseException) -> list[BaseException]:
    """Without recursion, and without asking the exception."""
    leaves: list[BaseException] = []
    todo: list[BaseException] = [error]
    while todo:
        one = todo.pop()
        if issubclass(type(one), BaseExceptionGroup):
            todo.extend(one.exceptions)  # type: ignore[attr-defined]
        else:
            leaves.append(one)
    return leaves


def shown(error: BaseException) -> str:
    """What nobody's `__str__` has a say in."""
    return f"{type(error).__name__}{BaseException.__repr__(error).removeprefix(type(error).__name__)}"


# -- what is raised ----------------------------------------------------------------------------------------------------


def an_error(site: Site, chance: Random, text: str) -> tuple[BaseException, str]:
    """One of all that can be raised, and what it is called."""
    name = chance.choice([*_PLAIN, *_PLAIN, *_PLAIN, *_BASE, *(_ODD if "error" in site.malice.kinds else ())])
    error = _MAKE[name](site, chance, text)
    return error, name


def _group(site: Site, chance: Random, text: str, depth: int, base: bool) -> BaseException:
    error: BaseException = an_error(site, chance, text)[0] if base else Wicked(text)
    for _ in range(depth):
        beside = [ValueError(text)] if chance.random() < 0.3 else []
        error = BaseExceptionGroup("deep", [error, *beside])  # an ExceptionGroup, if it can be one
    return error


def _odd_class(site: Site, what: str) -> BaseException:
    inner = site.malice.site("error", f"{what} in {site.where}")
    text = f"{what} {site.where}"

    def misbehave(self: object, *_: object) -> Any:
        inner.at_once(always=True)
        return f"odd {text}"

    if what == "class":
        members: dict[str, Any] = {"__class__": property(lambda _: _lie(inner))}
    else:
        names = {"str": ("__str__", "__repr__"), "hash": ("__hash__", "__eq__"), "getattr": ("__getattr__",)}[what]
        members = dict.fromkeys(names, misbehave)
    odd: type[BaseException] = type(f"Odd{what.title()}", (Wicked,), members)
    return odd(text)


def _lie(inner: Site) -> Any:
    inner.at_once(always=True)
    return KeyError


def _cyclic(site: Site, chance: Random, text: str) -> BaseException:
    one, other = Wicked(text), Wicked(text)
    one.__context__, other.__context__ = other, one
    return one


_MAKE: Final[dict[str, Callable[[Site, Random, str], BaseException]]] = {
    "Wicked": lambda s, c, t: Wicked(t),
    "ValueError": lambda s, c, t: ValueError(t),
    "OSError": lambda s, c, t: OSError(5, t),
    "TimeoutError": lambda s, c, t: TimeoutError(t),
    "StopIteration": lambda s, c, t: StopIteration(t),
    "StopAsyncIteration": lambda s, c, t: StopAsyncIteration(t),
    "RecursionError": lambda s, c, t: RecursionError(t),
    "IgnoreStart": lambda s, c, t: IgnoreStart(t),
    "ActorCrashed": lambda s, c, t: ActorCrashed("nobody", 1, t),
    "MailboxClosed": lambda s, c, t: MailboxClosed(t),
    "UnknownHandler": lambda s, c, t: UnknownHandler(t),
    "HandlerLate": lambda s, c, t: HandlerLate(t),
    "a group": lambda s, c, t: _group(s, c, t, 1, False),
    "KeyboardInterrupt": lambda s, c, t: KeyboardInterrupt(t),
    "SystemExit": lambda s, c, t: SystemExit(t),
    "GeneratorExit": lambda s, c, t: GeneratorExit(t),
    "CancelledError": lambda s, c, t: asyncio.CancelledError(t),
    "Wickeder": lambda s, c, t: Wickeder(t),
    "a mixed group": lambda s, c, t: _group(s, c, t, c.randint(1, 3), True),
    "a deep group": lambda s, c, t: _group(s, c, t, c.choice([10, 3000]), False),
    "a deep mixed group": lambda s, c, t: _group(s, c, t, c.choice([10, 3000]), True),
    "one with an odd str": lambda s, c, t: _odd_class(s, "str"),
    "one with an odd hash": lambda s, c, t: _odd_class(s, "hash"),
    "one with an odd __getattr__": lambda s, c, t: _odd_class(s, "getattr"),
    "one with an odd __class__": lambda s, c, t: _odd_class(s, "class"),
    "one in a cycle": _cyclic,
}
_PLAIN: Final = [*_MAKE][:13]
_BASE: Final = [*_MAKE][13:18]
_ODD: Final = [*_MAKE][18:]
