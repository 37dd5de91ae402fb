"""`survives`: whether an actor's next life knows what its last one did, and in words what it doesn't.

Theory of operation
-------------------
- The actor lives twice, one after the other, in a tree of its own each time: once in peace, which shows what is expected, and
  once with a crash before it is asked. So what both have in common (a port, a file) is free when the second one begins.
- It is looked at in its own turn, by a message: before the crash, and as the first thing in the next life. Such a call waits
  over the restart, however long its backoff is, and raises if there is none. Nothing is polled, and no time is guessed.
- A look takes texts. What they are about goes on changing, and a copy would run code of the actor's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Final, NamedTuple, ParamSpec, overload

import anyio

from supervise.actor.checkpoint import SNAPSHOT, Checkpoint
from supervise.errors import ActorCrashed, BadCall, CallError, GaveUp, NotAHandler, SendError, UnknownHandler
from supervise.events import Decided
from supervise.mailbox.handler import awaitable, check
from supervise.message import Message
from supervise.tree.child import Child
from supervise.tree.current import current
from supervise.tree.description import Description
from supervise.tree.supervisor import Supervisor
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import cause_of
from supervise_strategies.exit_reason import describe
from supervise_strategies.intensity import Intensity
from supervise_strategies.kind import attribute_of_kind, is_of, kind_of, name_of_kind
from supervise_strategies.text import LONG, shown

from .holdings import Holdings, differences, holdings
from .recording import Recording
from .sabotage import Sabotage
from .virtual_time import settle

if TYPE_CHECKING:
    from supervise.address.address import Address
    from supervise_strategies.directives import Decision

P = ParamSpec("P")
_OF_THE_TEST: Final = (UnknownHandler, BadCall, NotAHandler)
"""The fault of who wrote the call: it says nothing of the actor."""
_BY_DEFAULT: Final = Intensity()
_MOST: Final = 10  # attributes that are named; the rest is counted


def call(handler: Callable[Concatenate[Any, P], object], /, *args: P.args, **kwargs: P.kwargs) -> Message:
    """One call that is to be made by `survives`, as a value: `call(Cart.add, "tea")`.

    It is typed like the call itself. Raises `NotAHandler` at once.

        >>> print(call(list.append, "tea"))
        list.append('tea')
    """
    check(handler)
    return Message(handler, args, kwargs)


class NotSurvived(AssertionError):
    """An actor doesn't survive a restart, or there was none.

    The text says all of it; the fields are for a closer look. `lost` has by attribute its text
    before the crash and in the next life, of those alone that differ. `decision` is what its
    supervisor decided last; None if the actor didn't end.

        >>> class Cart(list):
        ...     pass
        >>> await survives(Cart, before=call(list.append, "tea"), after=call(list.copy))
        Traceback (most recent call last):
        NotSurvived: Cart doesn't survive a restart: list.copy() is ['tea'] without the crash, and [] after it...
    """

    def __init__(self, text: str, *, lost: dict[str, tuple[str, str]] | None = None, decision: Decision | None = None) -> None:
        super().__init__(text)
        self.lost: dict[str, tuple[str, str]] = {} if lost is None else lost
        """By attribute: its text before the crash, and in the next life. Only those that differ."""
        self.decision: Decision | None = decision
        """What its supervisor decided last; None if the actor didn't end."""


@overload
async def survives(
    factory: Child[Any] | Callable[..., Any],
    /,
    *,
    before: Message | Sequence[Message] = (),
    crash: Message | Exception | type[Exception] | None = None,
    after: Message,
    crash_after: float = 0,
    reset: Callable[[], object] | None = None,
    intensity: Intensity = ...,
) -> Any: ...
@overload
async def survives(
    factory: Child[Any] | Callable[..., Any],
    /,
    *,
    before: Message | Sequence[Message] = (),
    crash: Message | Exception | type[Exception] | None = None,
    after: Sequence[Message],
    crash_after: float = 0,
    reset: Callable[[], object] | None = None,
    intensity: Intensity = ...,
) -> list[Any]: ...
async def survives(
    factory: Child[Any] | Callable[..., Any],
    /,
    *,
    before: Message | Sequence[Message] = (),
    crash: Message | Exception | type[Exception] | None = None,
    after: Message | Sequence[Message],
    crash_after: float = 0,
    reset: Callable[[], object] | None = None,
    intensity: Intensity = _BY_DEFAULT,
) -> Any:
    """AssertionError, unless the actor answers `after` as it would without a crash.

    It lives twice, one after the other: once it handles `before` and `after`, which gives what
    is expected; once it crashes in between. The answers are compared by `==`, errors by their
    type and text. Mind that a cart that is empty in both lives survives, too: look at what is
    returned.

        factory: What `child` takes, if that has no arguments; or a `child(…)`, with its
            `redeliver=`, `quarantine=` and so on. It is tested alone; for a neighbour there is
            `FakeAddress`.
        before: A `call(…)`, or a list of them (default: none). What they raise is raised as it
            is.
        crash: A call that crashes it, or an exception, or its class, to crash it with (default:
            a `Sabotage`).
        after: A `call(…)`, or a list of at least one.
        crash_after: Seconds between `before` and the crash (default 0), as for a snapshot that
            is taken every so often.
        reset: A function, plain or async, that is called before each life (default: none). What
            is outside of the actor (a file, a table, a dict that the factory is given) is the
            same for both: it makes that as new.
        intensity: Of its supervisor (default: 3 restarts in 5 s).

    Returns the answer, or the list of answers, of the life after the crash; an error that was
    expected is one of them.

    `NotSurvived` says what the restart lost: the answers, and which attributes the next life
    has otherwise. It also says so where nothing crashed, and where no life followed, with the
    supervisor's decision. Raises `InvalidSpec`, and what a start raises. It runs on the clock
    of the test, real or virtual, and sets no deadline.

        >>> class Cart:
        ...     def __init__(self):
        ...         kept = current().last_checkpoint
        ...         self.lines = [] if kept is None else kept.value
        ...     def add(self, line):
        ...         self.lines.append(line)
        ...         current().checkpoint([*self.lines])
        ...     def all(self):
        ...         return self.lines
        >>> await survives(Cart, before=call(Cart.add, "tea"), after=call(Cart.all))
        ['tea']
    """
    if reset is not None and not callable(reset):
        raise InvalidSpec("survives", "reset", reset, "a function without arguments, plain or async, or None")
    wait = _seconds(crash_after)
    play = _Play(_child_of(factory), _calls("before", before), wait, _crash_of(crash), _calls("after", after), intensity)
    await _reset(reset)
    expected = await play.run(crashing=False)
    await _reset(reset)
    actual = await play.run(crashing=True)
    play.compare(expected, actual)
    answers = [outcome.found for outcome in actual.outcomes]
    return answers[0] if isinstance(after, Message) else answers


# -- what is asked for -------------------------------------------------------------------------------------------------------


def _child_of(factory: Any) -> Child[Any]:
    if isinstance(factory, Description):
        cure = "one actor: a factory, or child(factory, …), which is no supervisor, and no pool"
        raise InvalidSpec("survives", "factory", factory, cure)
    return factory if issubclass(kind_of(factory), Child) else Child(factory, (), {}, default="permanent")


def _calls(option: str, given: Any) -> list[Message]:
    kind = kind_of(given)
    calls: list[Any] = [*given] if issubclass(kind, list | tuple) and kind is not Message else [given]
    if not all(kind_of(each) is Message for each in calls):
        raise InvalidSpec("survives", option, given, "call(Cart.items), or a list of such calls")
    if option == "after" and not calls:
        raise InvalidSpec("survives", option, given, "at least one call, whose answer shows what is to survive")
    return calls


def _crash_of(given: Any) -> Message | _Blow:
    if isinstance(given, Message):
        return given
    if given is None:
        return _Blow(Sabotage("on purpose"))
    if is_of(given, Exception):
        return _Blow(given)
    if isinstance(given, type):
        return _Blow(_made(given))
    cure = "a call that crashes the actor, call(Cart.add, None); an Exception to crash it with, or its class; or None"
    raise InvalidSpec("survives", "crash", given, cure)


def _made(kind: Any) -> Any:
    cure = "the class of an Exception that is made without arguments, or an instance"
    try:
        error = kind() if issubclass(kind, Exception) else None
    except TypeError:
        error = None
    if error is None:
        raise InvalidSpec("survives", "crash", kind, cure)
    return error


def _seconds(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < math.inf:
        raise InvalidSpec("survives", "crash_after", given, "seconds, 0 or more")
    return given


async def _reset(function: Callable[[], object] | None) -> None:
    done: Any = None if function is None else function()
    if awaitable(done):
        await done


# -- what happens ------------------------------------------------------------------------------------------------------------


class _Seen(NamedTuple):
    """An actor, as it was looked at in its own turn."""

    kind: type
    life: int
    held: Holdings
    checkpoint: Checkpoint | None


def _look(actor: Any) -> _Seen:
    here = current()
    return _Seen(kind_of(actor), here.incarnation, holdings(actor), here.last_checkpoint)


class _Blow:
    """A message that crashes whoever handles it; once, since it may come again by `redeliver=`."""

    __name__ = "survives"

    def __init__(self, error: Exception) -> None:
        self.text = describe(error)
        self._error: Exception | None = error

    def __call__(self, actor: Any) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error.with_traceback(None)

    def __str__(self) -> str:
        return f"a crash with {self.text}"


class _Outcome(NamedTuple):
    """What came back of one call, and its text, taken at once."""

    found: Any
    text: str
    raised: bool


async def _outcome_of(address: Address[Any], asked: Message) -> _Outcome:
    try:
        found = await address.call(asked.handler, *asked.args, **asked.kwargs)
    except _OF_THE_TEST:
        raise
    except Exception as error:
        # of a crash, what it crashed with: the text of the rest names the life
        inner = cause_of(error) if is_of(error, ActorCrashed) else None
        text = f"raises {describe(error)}" if inner is None else f"crashes it with {describe(inner)}"
        return _Outcome(error, text, True)
    return _Outcome(found, f"is {shown(found, LONG)}", False)


class _Run(NamedTuple):
    """One of the two: what was seen before the crash and in the next life, and what came of `after`."""

    before: _Seen
    after: _Seen
    outcomes: list[_Outcome]


class _Play:
    """What is to be done, twice."""

    def __init__(
        self,
        child: Child[Any],
        before: list[Message],
        wait: float,
        crash: Message | _Blow,
        after: list[Message],
        intensity: Intensity,
    ) -> None:
        self._child = child
        self._before = before
        self._wait = wait
        self._crash = crash
        self._after = after
        self._events = Recording()
        shutdown: Any = "any_significant" if child.spec.significant else "never"
        self._tree = Supervisor("survives", intensity=intensity, auto_shutdown=shutdown, listener=self._events)
        self._name = child.spec.id

    async def run(self, *, crashing: bool) -> _Run:
        """One of the two lives, with all that follows from its crash, in a tree of which nothing is left."""
        self._events.clear()
        outcome: _Run | Exception | None = None
        try:
            async with self._tree as app:
                try:
                    outcome = await self._live(await app.start_child(self._child), crashing)
                except Exception as error:  # the end of the tree may have an error of its own, which says less
                    outcome = error
        except GaveUp as error:
            if outcome is None:
                raise self._gone(crashing, error) from error
        if outcome is None:  # it is significant, so its end was that of the tree
            raise self._gone(crashing, None)
        if isinstance(outcome, Exception):
            try:
                raise outcome
            finally:
                del outcome  # a frame that holds the exception that holds the frame
        return outcome

    async def _live(self, address: Address[Any], crashing: bool) -> _Run:
        for asked in self._before:
            await address.call(asked.handler, *asked.args, **asked.kwargs)
        if self._wait:
            await anyio.sleep(self._wait)
        before: _Seen = await address.call(_look)
        self._name = name_of_kind(before.kind)
        after = await self._next_life(address, before.life) if crashing else before
        return _Run(before, after, [await _outcome_of(address, asked) for asked in self._after])

    async def _next_life(self, address: Address[Any], life: int) -> _Seen:
        came = await self._strike(address)
        try:
            seen: _Seen = await address.call(_look)
            if seen.life == life:  # a task that the handler has begun may be what crashes
                await settle()
                seen = await address.call(_look)
        except (SendError, CallError) as error:
            raise self._gone(True, error) from error
        if seen.life == life:
            raise NotSurvived(f"{self._name} wasn't restarted: {came}, and it lives on. crash= takes what crashes it")
        return seen

    async def _strike(self, address: Address[Any]) -> str:
        """Crash it; what came back, in words, which is of interest if it doesn't crash."""
        crash = self._crash
        if isinstance(crash, _Blow):
            await address.send(crash)  # to a call its error might be an answer
            return f"{crash.text} is an answer by its expects="
        try:
            found = await address.call(crash.handler, *crash.args, **crash.kwargs)
        except _OF_THE_TEST:
            raise
        except Exception as error:
            return f"{crash} raises {describe(error)} to its caller"
        return f"{crash} returns {shown(found)}"

    # -- in words --------------------------------------------------------------------------------------------------------

    def _gone(self, crashing: bool, error: Exception | None) -> NotSurvived:
        after = f"doesn't come back after {self._crash}" if crashing else "ends by itself, without the crash"
        decided = self._events.of(Decided)
        why = decided[-1] if decided else "nothing was decided" if error is None else describe(error)
        return NotSurvived(f"{self._name} {after}.\n  {why}", decision=decided[-1].decision if decided else None)

    def compare(self, expected: _Run, actual: _Run) -> None:
        """NotSurvived, if the two have other answers."""
        pairs = zip(self._after, expected.outcomes, actual.outcomes, strict=True)
        wrong = [self._unlike(*each) for each in pairs if not self._alike(*each)]
        if not wrong:
            return
        lost = differences(actual.before.held, actual.after.held)
        lines = [f"{self._name} doesn't survive a restart: {wrong[0]}.", *(f"  and: {other}." for other in wrong[1:])]
        lines += [f"  lost: {each}" for each in _named(lost)] or ["  its attributes are alike in both lives"]
        outside = differences(expected.before.held, actual.before.held)
        if outside:
            cure = "what is outside of the actor has to be new for each, by reset="
            lines.append(f"  already before the crash the two lives differ in {'; '.join(_named(outside))}: {cure}")
        lines.append(f"  cure: {_cure(actual.after)}")
        raise NotSurvived("\n".join(lines), lost=lost)

    def _alike(self, asked: Message, expected: _Outcome, actual: _Outcome) -> bool:
        if expected.raised or actual.raised:
            return (expected.raised, expected.text) == (actual.raised, actual.text)
        try:
            return bool(expected.found == actual.found)
        except Exception as error:
            cure = "have it return what can be"
            raise NotSurvived(f"{self._name}: what {asked} returns can't be compared ({describe(error)}): {cure}") from error

    def _unlike(self, asked: Message, expected: _Outcome, actual: _Outcome) -> str:
        by = ", which look alike and aren't equal by ==" if expected.text == actual.text else ""
        return f"{asked} {expected.text} without the crash, and {actual.text.removeprefix('is ')} after it{by}"


def _named(found: dict[str, tuple[str, str]]) -> list[str]:
    named = [f"{name}: {before} -> {after}" for name, (before, after) in [*found.items()][:_MOST]]
    return [*named, f"{len(found) - _MOST} more"] if len(found) > _MOST else named


def _cure(seen: _Seen) -> str:
    if seen.checkpoint is not None:
        kept = f"{shown(seen.checkpoint.value)} of #{seen.checkpoint.incarnation}"
        cure = "what isn't in it is lost; the factory finds it as current().last_checkpoint, and is to begin with it"
        return f"the last checkpoint is {kept}: {cure}"
    if attribute_of_kind(seen.kind, SNAPSHOT) is not None:
        return "no snapshot() was taken before the crash: crash_after= waits for @checkpointed(every=…)"
    return "current().checkpoint(value), or @checkpointed on a snapshot(), keeps what the next life needs"
