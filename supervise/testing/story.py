"""What happened in a tree, claimed in words, and compared with the events."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from supervise.events import DeadLetter, Decided, Event, Started, StartFailed, Stopped
from supervise_strategies.directives import Action, Cause
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exit_reason import ExitKind

from .recording import Recording, running_after

if TYPE_CHECKING:
    from supervise.address.address import Address, WeakAddress

UNDERSTOOD: Final = """\
started | restarted | crashed | was killed | gave up | failed to start: each alone (at least once), with `once`,
    `twice` or `3 times`, or after `never`; `crashed once with ValueError`
no dead letters | 1 dead letter | 3 dead letters
delays 1, 2 and 4 | no delays | delays between 1 and 2        (seconds before each restart)
ended normal | ended shutdown | ended crashed | ended killed | ended gave_up        (how the last life ended)
nothing left running | still running"""
_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DELAY: Final = r"\d+(?:\.\d+)?"
_WHAT: Final = r"(?P<what>started|restarted|crashed|(?:was )?killed|gave up|failed to start)"
_TIMES: Final = rf"(?P<times>once|twice|(?:\d+|{'|'.join(_NUMBERS)}) times?)"


class Facts(NamedTuple):
    """The events that a story is about, and what runs after them."""

    events: list[Event]
    running: list[tuple[str, int]]
    concerns: Callable[[str], bool]

    def delays(self) -> list[float]:
        """What each restart waited for, those of a group too."""
        return [
            event.decision.delay
            for event in self.events
            if isinstance(event, Decided) and event.decision.action is Action.RESTART
            if any(self.concerns(f"{event.supervisor}/{name}") for name in event.decision.affected)
        ]


Verdict: TypeAlias = str | None
"""What was the case instead; None if the clause holds."""


def assert_story(
    events: Recording | Iterable[Event], text: str, *, of: str | Address[Any] | WeakAddress[Any] | None = None
) -> None:
    """AssertionError, which shows what happened, unless the events tell this story.

        events: A `Recording`, or the events themselves.
        text: Clauses, divided by commas.
        of: Whose events count, by address or by full path, from the root on. Those of what is
            below it count, too (default: all).

    A `start` is one of any incarnation, a `restart` one of any but the first. Clauses:

        started | restarted | crashed | was killed | gave up | failed to start: each alone (at least once),
            with `once`, `twice` or `3 times`, or after `never`; `crashed once with ValueError`
        no dead letters | 1 dead letter | 3 dead letters
        delays 1, 2 and 4 | no delays | delays between 1 and 2 (seconds before each restart)
        ended normal | ended shutdown | ended crashed | ended killed | ended gave_up
            (how the last life ended)
        nothing left running | still running

    Raises `InvalidSpec` for a clause that isn't one of these, and for a path of which nothing
    was heard.

        >>> recording = Recording()
        >>> async with Supervisor("app", listener=recording) as app:
        ...     cart = await app.start(list, name="cart")
        ...     await cart.send(list.pop)
        ...     await cart.call(list.copy)
        []
        >>> assert_story(recording, "crashed once with IndexError, restarted once", of="app/cart")
        >>> assert_story(recording, "never restarted", of="app/cart")
        Traceback (most recent call last):
        AssertionError: this isn't the story of app/cart:
          FAILED: never restarted, but ...
    """
    path = of if of is None or isinstance(of, str) else of.path
    everything = [*events]
    before = events.before if isinstance(events, Recording) else ()
    paths = sorted({event.path for event in everything} | {known for known, _ in before})

    def concerns(who: str) -> bool:
        return path is None or who == path or who.startswith(f"{path}/")

    if path is not None and not any(map(concerns, paths)):
        raise InvalidSpec("assert_story", "of", path, f"nothing was heard of it; there are {', '.join(paths) or 'no events'}")
    facts = Facts(
        [event for event in everything if _about(event, concerns)],
        sorted(life for life in running_after(before, everything) if concerns(life[0])),
        concerns,
    )
    # a comma inside of "delays 1, 2 and 4" begins no clause
    clauses = [clause.strip() for clause in re.split(rf",(?!\s*{_DELAY}(?:\s*,|\s+and\s|\s*$)|\s*and\s)", text)]
    verdicts = [(clause, _judge(clause, facts)) for clause in clauses]
    if any(verdict is not None for _, verdict in verdicts):
        lines = [f"  {'held' if verdict is None else 'FAILED'}: {clause}{_but(verdict)}" for clause, verdict in verdicts]
        # the whole story, its group's and its supervisor's decisions included, with the times if they are known
        shown = [*map(str, events.heard if isinstance(events, Recording) else everything)]
        happened = [f"  {line}" for line in shown] or ["  nothing"]
        raise AssertionError("\n".join([f"this isn't the story of {path or 'the tree'}:", *lines, "what happened:", *happened]))


def _but(verdict: Verdict) -> str:
    return "" if verdict is None else f", but {verdict}"


def _about(event: Event, concerns: Callable[[str], bool]) -> bool:
    if isinstance(event, Decided):
        return any(concerns(f"{event.supervisor}/{name}") for name in event.decision.affected) or concerns(event.path)
    return concerns(event.path)


def _judge(clause: str, facts: Facts) -> Verdict:
    for pattern, judge in _CLAUSES:
        found = re.fullmatch(pattern, clause)
        if found is not None:
            return judge(found, facts)
    raise InvalidSpec("assert_story", "clause", clause, f"what it understands is\n{UNDERSTOOD}")


_COUNTED: Final[dict[str, Callable[[Event], bool]]] = {
    "started": lambda event: isinstance(event, Started),
    "restarted": lambda event: isinstance(event, Started) and event.incarnation > 1,
    "crashed": lambda event: isinstance(event, Stopped) and event.reason.kind is ExitKind.CRASHED,
    "killed": lambda event: isinstance(event, Stopped) and event.reason.kind is ExitKind.KILLED,
    "gave up": lambda event: isinstance(event, Stopped) and event.cause is Cause.GAVE_UP,
    "failed to start": lambda event: isinstance(event, StartFailed) and not event.ignored,
}


def _counted(found: re.Match[str], facts: Facts) -> Verdict:
    given = found.groupdict()
    what = found["what"].removeprefix("was ")
    error, times, count = given.get("error"), given.get("times"), 0
    for event in facts.events:
        if _COUNTED[what](event):
            detail = event.reason.detail if isinstance(event, Stopped | StartFailed) else ""
            count += error is None or detail.partition(": ")[0] == error
    if given.get("never") is not None:
        good = count == 0
    else:
        good = count > 0 if times is None else count == _number(times)
    return None if good else _times(count)


def _number(text: str) -> int:
    text = text.removesuffix(" times").removesuffix(" time")
    known = {"once": 1, "twice": 2, **{word: n for n, word in enumerate(_NUMBERS)}}
    return known[text] if text in known else int(text)


def _times(count: int) -> str:
    return {0: "it never did", 1: "it did once", 2: "it did twice"}.get(count, f"it did {count} times")


def _dead_letters(found: re.Match[str], facts: Facts) -> Verdict:
    count = sum(isinstance(event, DeadLetter) for event in facts.events)
    return None if count == _number(found["times"]) else f"there were {count}" if count != 1 else "there was 1"


def _delays(found: re.Match[str], facts: Facts) -> Verdict:
    wanted = [float(number) for number in re.findall(_DELAY, found[0])]
    actual = facts.delays()
    good = len(wanted) == len(actual) and all(math.isclose(w, a, abs_tol=1e-9) for w, a in zip(wanted, actual, strict=True))
    return None if good else _were(actual)


def _delays_between(found: re.Match[str], facts: Facts) -> Verdict:
    low, high = float(found["low"]), float(found["high"])
    actual = facts.delays()
    return None if actual and all(low <= delay <= high for delay in actual) else _were(actual)


def _no_delays(_: re.Match[str], facts: Facts) -> Verdict:
    return None if not any(facts.delays()) else _were(facts.delays())


def _were(delays: list[float]) -> str:
    return f"they were {', '.join(f'{delay:g}' for delay in delays)}" if delays else "there was no restart"


def _ended(found: re.Match[str], facts: Facts) -> Verdict:
    ends = [event for event in facts.events if isinstance(event, Stopped)]
    if not ends:
        return "it didn't end"
    return None if ends[-1].reason.kind.value == found["how"].removesuffix("ly") else f"it ended {ends[-1].reason}"


def _nothing_left(_: re.Match[str], facts: Facts) -> Verdict:
    return None if not facts.running else f"{', '.join(f'{path} #{number}' for path, number in facts.running)} still runs"


def _still_running(_: re.Match[str], facts: Facts) -> Verdict:
    return None if facts.running else "nothing of it runs"


_CLAUSES: Final[list[tuple[str, Callable[[re.Match[str], Facts], Verdict]]]] = [
    (rf"(?P<never>never) {_WHAT}", _counted),
    (rf"{_WHAT}(?: {_TIMES})?", _counted),
    (rf"(?P<what>crashed|failed to start)(?: {_TIMES})? with (?P<error>\w+)", _counted),
    (rf"(?P<times>\d+|{'|'.join(_NUMBERS)}) dead letters?", _dead_letters),
    (rf"delays between (?P<low>{_DELAY}) and (?P<high>{_DELAY})", _delays_between),
    (rf"delays? {_DELAY}(?:, {_DELAY})*(?:,? and {_DELAY})?", _delays),
    (r"no delays?", _no_delays),
    (r"ended (?P<how>normal(?:ly)?|shutdown|crashed|killed|gave_up)", _ended),
    (r"nothing left running", _nothing_left),
    (r"still running", _still_running),
]
