"""What a fact of the flight recorder says, in words: one line, as `supervise postmortem` and `supervise events` print it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeAlias

Fact: TypeAlias = dict[str, Any]

LONG: Final = 1.0
"""Seconds between two lives from which on the wait is told."""
LOSSES: Final = {
    "in_hand": "in hand when a life ended",
    "stopped": "waiting when the actor was stopped",
    "overran": "in hand, and cancelled at the stop",
    "spent": "tried again as often as redeliver= allows",
    "full": "the mailbox was full",
    "refused": "no such handler, or arguments that don't fit",
    "late": "it came after the actor's end",
    "by_hand": "taken out by hand",
}


def words(fact: Fact, ends: dict[str, Fact]) -> str:
    """One fact. `ends`: the last end of each path before it, as far as it is known."""
    say = _WORDS.get(fact["fact"])
    return f"{fact['path']}: {fact['fact']}" if say is None else say(fact, ends)


def _started(fact: Fact, ends: dict[str, Fact]) -> str:
    before = ends.get(fact["path"])
    since = 0.0 if before is None else seconds_between(before["at"], fact["at"])
    after = f" {since:.3g} s after the end of #{before['incarnation']}" if before is not None and since >= LONG else ""
    return f"{life(fact)} started{after}{_waiting(fact)}"


def ended(fact: Fact, _: dict[str, Fact]) -> str:
    """An end."""
    what = "ended" if fact["was_ready"] else "failed to start"
    if not fact.get("error"):
        detail = f" ({fact['detail']})" if fact["detail"] else ""
        return f"{life(fact)} {what}: {fact['kind']}{detail}{_waiting(fact)}"
    held = f" with {fact['handler']} in hand" if fact["handler"] else ""
    where = f", in {fact['where']}" if fact["where"] else ""
    return f"{life(fact)} {what}{held}: {fact['kind']} ({fact['detail']}){where}{_waiting(fact)}"


def decided(fact: Fact, _: dict[str, Fact]) -> str:
    """What followed."""
    return f"    {above(fact)} decides: {fact['decision']}"


def _messages_ended(fact: Fact, _: dict[str, Fact]) -> str:
    return f"{fact['path']}: {many(fact)} {fact['fact']}: {LOSSES.get(fact['why'], fact['why'])}"


def waited(fact: Fact, _: dict[str, Fact]) -> str:
    """A wait for something."""
    return f"{fact['path']}: {fact['handler']} waited for {fact['why']} for {fact['seconds']:.3g} s"


def _more(fact: Fact, _: dict[str, Fact]) -> str:
    counted = [f"{fact[what]:,} {what}" for what in ("starts", "ends") if fact[what]]
    crashes = f", {fact['crashes']:,} of them crashes" if fact["crashes"] else ""
    return f"{fact['path']}: and {' and '.join(counted) or 'none'} more of its children within a second{crashes}"


def _event(fact: Fact, _: dict[str, Fact]) -> str:
    return str(fact["text"])


_WORDS: Final[dict[str, Callable[[Fact, dict[str, Fact]], str]]] = {
    "started": _started,
    "ended": ended,
    "decided": decided,
    "lost": _messages_ended,
    "failed": _messages_ended,
    "refused": _messages_ended,
    "waited": waited,
    "told": _event,
    "more": _more,
}


def life(fact: Fact) -> str:
    """Whose life it is of: `shop/orders #3`."""
    return f"{fact['path']} #{fact['incarnation']}"


def many(fact: Fact) -> str:
    """What it counts."""
    return f"{fact['number']:,} x {fact['handler']}" if fact["number"] > 1 else str(fact["handler"])


def _waiting(fact: Fact) -> str:
    return f"; {messages_of(fact['waiting'])}" if fact.get("waiting") else ""


def messages_of(number: int) -> str:
    """How many wait."""
    return f"{number:,} {'messages wait' if number > 1 else 'message waits'}"


def seconds_between(first: str, then: str) -> float:
    """Between the instants of two facts."""
    return (datetime.fromisoformat(then) - datetime.fromisoformat(first)).total_seconds()


def above(fact: Fact) -> str:
    """The path of the supervisor of whom it is."""
    return str(fact["path"]).rpartition("/")[0]
