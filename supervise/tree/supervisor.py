"""Supervisors as they are written down and run: `async with` runs one."""

from __future__ import annotations

import copy
import logging
import math
from typing import TYPE_CHECKING, Any, Protocol, Self

from anyio import TASK_STATUS_IGNORED

from supervise._backends import current_backend
from supervise.journal.listening import A_CRASH, check_listener
from supervise.log import say
from supervise.mailbox.dead_letters import OnDeadLetter
from supervise.mailbox.mailbox_options import check_on_dead_letter
from supervise.spans.chosen import TracingOption, check_option, chosen
from supervise_strategies.child_spec import StopWithin
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import describe
from supervise_strategies.intensity import Intensity
from supervise_strategies.restart import Restart, RestartName
from supervise_strategies.strategy import AutoShutdown, Strategy

from .child import Child
from .description import AutoShutdownName, Description, GiveUpAs, StrategyName
from .host import Host
from .recorder import Recorder, RecorderOption, check_recorder
from .running import RunningSupervisor
from .tree import Tree, WrongTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from anyio.abc import TaskStatus

    from supervise.events import Listener
    from supervise.journal.bus import OnCrash
    from supervise.mailbox.instrument import Instruments


class Watcher(Protocol):
    """Looks at running trees: `supervise.telemetry.Metrics` is one.

    One that has a method `instruments` is asked for those of the tree, with those that it would have, or None.
    """

    def watch(self, app: RunningSupervisor, /) -> Callable[[], object]:
        """Begin, before anything of the tree has started; the result ends it, when nothing of it runs any more."""
        ...


class Runnable(Description):
    """A description that can be run, again and again, but only once at a time. What runs is kept elsewhere."""

    __slots__ = ("_tree", "listener", "log_arguments", "metrics", "on_crash", "on_dead_letter", "recorder", "tracing")
    listener: Listener | None
    metrics: Watcher | None
    on_crash: OnCrash | None
    log_arguments: bool
    on_dead_letter: OnDeadLetter | None
    recorder: RecorderOption
    tracing: TracingOption
    _tree: Tree | None

    def _look_with(
        self,
        listener: Listener | None,
        metrics: Watcher | None,
        tracing: TracingOption,
        on_dead_letter: OnDeadLetter | None,
        on_crash: OnCrash | None,
        log_arguments: bool,
        recorder: RecorderOption,
    ) -> None:
        """What looks at the tree, if this is its root."""
        who = f"supervisor {self.name!r}"
        check_listener(who, "listener", listener)
        if metrics is not None and not callable(getattr(metrics, "watch", None)):
            raise InvalidSpec(who, "metrics", metrics, "Metrics(…) of supervise.telemetry, or None")
        check_option(who, tracing)
        check_on_dead_letter(who, on_dead_letter)
        check_listener(who, "on_crash", on_crash, A_CRASH)
        if not isinstance(log_arguments, bool):
            raise InvalidSpec(who, "log_arguments", log_arguments, "True or False")
        check_recorder(who, recorder)
        self.on_crash, self.log_arguments, self.recorder = on_crash, log_arguments, recorder
        self.on_dead_letter = on_dead_letter
        self.listener, self.metrics, self.tracing = listener, metrics, tracing

    def for_roots_only(self) -> Iterator[tuple[str, object, str]]:
        yield from super().for_roots_only()
        if self.listener is not None:
            yield "listener", self.listener, "give it to the root; events() of a nested one's handle tells of that part alone"
        if self.metrics is not None:
            yield "metrics", self.metrics, "give them to the root, which counts for all of the tree"
        if self.on_dead_letter is not None:
            yield "on_dead_letter", self.on_dead_letter, "give it to the root, or to the children that it is for"
        if self.on_crash is not None:
            yield "on_crash", self.on_crash, "give it to the root, for all of the tree"
        if self.log_arguments:
            yield "log_arguments", self.log_arguments, "say it at the root, for all of the tree"
        if self.recorder is not True:
            yield "recorder", self.recorder, "say it at the root, for all of the tree"
        if self.tracing != "auto":
            yield "tracing", self.tracing, "say it at the root, for all of the tree"

    def with_arguments_in_logs(self) -> Self:
        """The same description with `log_arguments=True`."""
        other = self._copied()
        other.log_arguments = True
        return other

    def with_budget(self, seconds: float) -> Self:
        other = super().with_budget(seconds)
        other._tree = None
        return other

    def _copied(self) -> Self:
        other = copy.copy(self)
        other._tree = None  # it doesn't run, though this one may
        return other

    def with_tracing(self, tracing: TracingOption) -> Self:
        """The same description with another option `tracing`."""
        check_option(f"supervisor {self.name!r}", tracing)
        other = self._copied()
        other.tracing = tracing
        return other

    def with_metrics(self, metrics: Watcher) -> Self:
        """The same description with other `metrics`.

        It is what an operator says, rather than whoever wrote the tree.
        """
        other = self._copied()
        other.metrics = metrics
        return other

    @property
    def running(self) -> RunningSupervisor | None:
        """The tree that it runs, or None when it doesn't run.

        It is there from the beginning of its start until it has ended.
        """
        tree = getattr(self, "_tree", None)
        return None if tree is None else RunningSupervisor(tree.root)

    async def open(self) -> RunningSupervisor:
        """Run it where no `async with` can stand around it, until `app.close()`.

        It is for fixtures, notebooks, unittest, or a prompt. It lives in a task of its own, so both
        can be called in any task of the event loop.

        What ends the tree (`GaveUp`, KeyboardInterrupt, whatever) is raised by whichever of
        `app.wait()` and `app.close()` comes first. If neither comes, it is logged, CRITICAL.
        Without `close()` the end of the event loop cancels all of it at once, in no order. Raises
        `StartFailed`.
        """
        return await Host(self).open()

    async def serve(self, *, task_status: TaskStatus[RunningSupervisor] = TASK_STATUS_IGNORED) -> None:
        """Run it in a task group: `app = await group.start(tree.serve)`.

        It runs until it ends by itself, or the group is cancelled; `app.stop()` ends it. Raises
        what leaves its `async with`.
        """
        async with self as app:
            task_status.started(app)
            await app.wait()

    async def __aenter__(self) -> RunningSupervisor:
        await self._left()
        instruments = _with_metrics(self.metrics, chosen(self.tracing), self.name)
        looks = instruments, self.on_dead_letter, self.on_crash, self.log_arguments
        recorder = (Recorder() if self.recorder else None) if isinstance(self.recorder, bool) else self.recorder
        tree = Tree(current_backend(), self, self.listener, RunningSupervisor, *looks, recorder)
        app = RunningSupervisor(tree.root)
        if self.metrics is not None:
            tree.unwatch = _watch(self.metrics, app)
        self._tree = tree
        try:
            await tree.open()
        except BaseException:
            self._ended(tree)
            raise
        return app

    async def _left(self) -> None:
        """Nobody is in its block any more. Who has opened it, and seen its end, needn't wait for the task that held it."""
        while True:
            tree: Tree | None = getattr(self, "_tree", None)
            if tree is None or (tree.ended is not None and tree.backend.is_closed()):  # nobody goes on in that loop
                return
            if tree.ended is None or tree.hosted is None or not tree.backend.in_its_thread():
                break
            await tree.hosted.left()
        if tree.ended is None or tree.in_body:
            cure = "leave its `async with` first" if tree.hosted is None else "close() it first"
            raise RuntimeError(f"supervisor {self.name!r} runs already: {cure}, or describe another")

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        tree = self._tree
        if tree is None:
            return False
        done = True
        try:
            return await tree.close(exc)
        except WrongTask:  # the task that entered may still leave
            done = False
            raise
        finally:
            if done:
                self._ended(tree)

    def _ended(self, tree: Tree) -> None:
        if self._tree is tree:
            self._tree = None
        try:
            tree.unwatch()
        except BaseException as error:  # whatever leaves the tree is what counts
            if interrupts(error):
                raise
            say(logging.ERROR, "supervisor %r: the end of its metrics raised %s", self.name, error, error=error)


def _with_metrics(metrics: Watcher | None, instruments: Instruments | None, name: str) -> Instruments | None:
    """The instruments of a tree, with what its metrics have to measure from within, if they do."""
    within: Callable[[Instruments | None], Instruments | None] | None = getattr(metrics, "instruments", None)
    if not callable(within):
        return instruments
    try:
        return within(instruments)
    except Exception:
        raise
    except BaseException as error:
        if interrupts(error):
            raise
        raise RuntimeError(f"metrics= of supervisor {name!r} raised {describe(error)}") from error


def _watch(metrics: Watcher, app: RunningSupervisor) -> Callable[[], object]:
    try:
        return metrics.watch(app)
    except Exception:
        raise
    except BaseException as error:  # a cancellation, say, that nobody asked for
        if interrupts(error):
            raise
        raise RuntimeError(f"metrics= of supervisor {app.name!r} raised {describe(error)}") from error


class Supervisor(Runnable):
    """A supervisor with its children, in start order; `async with` runs them.

    It yields a `RunningSupervisor`. Leaving the body doesn't wait for the actors' work: `await
    app.wait()` serves until the tree ends by itself.

    It is a description: it can be printed, nested, and run again, but only once at a time.

    | it ends when | the body | what leaves `async with` |
    |---|---|---|
    | the body ends | – | nothing; the tree was stopped in order |
    | the body raises | – | that exception, unchanged |
    | restarts exceed `intensity` | is cancelled | `GaveUp` |
    | auto-shutdown; or an actor calls `stop_tree()` | is cancelled | nothing; `ended` says why |
    | it is cancelled from outside | is cancelled | the cancellation, after a stop of at most 5 s |

    A child that doesn't start at first raises `StartFailed`; the body never runs then.

    Options:

        strategy: Who is restarted with a child: `"one_for_one"` (default: nobody else),
            `"one_for_all"`, or `"rest_for_one"` (those that were started after it).
        intensity: How many restarts within how many seconds are tolerated: `Intensity(3,
            per=5.0)` by default.
        auto_shutdown: Whether the end of significant children ends it: `"never"` (default),
            `"any_significant"`, or `"all_significant"`.
        restart: When the supervisor above restarts it: as of a child. Default: permanent;
            temporary under a dynamic one.
        significant: Whether its end can end the supervisor above (default False).
        stop_within: Seconds that an ordered stop of all below it may take, `math.inf` (the
            default), or `"brutal_kill"`. Then what still runs is cancelled.
        shutdown_budget: One deadline of a root, in seconds, over the ordered stop of its whole
            tree: each child gets the smaller of its own time and what is left. Default: None,
            no budget.
        give_up_as: The reason of its end when it gives up: `"gave_up"` (default), after which a
            transient one is restarted, or OTP's `"shutdown"`, after which it isn't.
        listener: A function that hears every event of a root's tree, from the first start on.
            What it raises is logged, and nothing else happens. Default: None.
        metrics: `Metrics()` of `supervise.telemetry`, which counts what happens in a root's
            tree. Default: None.
        tracing: Whether a root's tree makes spans: `"auto"` (default: if a tracer provider is
            installed when it starts), `True`, `False`, a provider, or `Spans(…)` of
            `supervise.telemetry`.
        on_dead_letter: A function of one `Undelivered`, called for each message of a root's
            tree that no handler will finish. It is as `on_dead_letter=` of a child, where the
            child has none. Default: None.
        on_crash: A function of an exception and an event (`Stopped` or `StartFailed`), called
            for each crash of an actor in a root's tree, in the task in which it happened. It
            may do anything but wait. Who keeps the exception keeps its frames, and so actors.
            What it raises is logged, and nothing else happens; a crash that it causes before it
            returns isn't told to it. Default: None.
        log_arguments: Whether the texts of messages in log records, events, dead letters and
            errors hold what was sent, as `Orders.place('tea', 2)`, or only its types (default
            False: `Orders.place(str, int)`).
        recorder: Whether a flight recorder keeps a root's last 20,000 facts, and writes them to
            a file when the tree gives up (default True). `Recorder(…)` says where, and how
            many; False keeps and writes nothing. `supervise postmortem` reads the file.
        required: Whether the tree above isn't ready (`supervise.health`) while something in it
            is down (default True); if not, that tree is only degraded.

    In a supervisor that stands below another one the options of a root are refused
    (`InvalidSpec`). These are `shutdown_budget`, `listener`, `metrics`, `tracing`,
    `on_dead_letter`, `on_crash`, `log_arguments` and `recorder`.

    A supervisor begins one restart at a time. Of children whose backoffs end together the next
    begins to start when the last one is ready, or has failed. A start that hangs holds up the
    others: give it a deadline, `start_within=`. To spread them over time, too, add tenacity's
    `wait_random` to their `wait`. Supervisors don't wait for each other.

    >>> db, cache = child(dict, name="db"), child(list, name="cache")
    >>> tree = Supervisor("app", db, cache, strategy="rest_for_one", intensity=Intensity(5, per=60))
    >>> print(tree)
    app  [rest_for_one, 5 in 60 s]
      db  permanent
      cache  permanent
    >>> async with tree as app:
    ...     await app.find(db).send(dict.popitem)
    ...     await app.find(db).call(dict.copy)
    ...     [(info.id, info.incarnation) for info in app.which_children()]
    {}
    [('db', 2), ('cache', 2)]
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        *children: Child[Any] | Description,
        strategy: Strategy | StrategyName = "one_for_one",
        intensity: Intensity = Intensity(),  # noqa: B008 - a frozen value
        auto_shutdown: AutoShutdown | AutoShutdownName = "never",
        restart: Restart | RestartName | None = None,
        significant: bool = False,
        stop_within: StopWithin | None = None,
        shutdown_budget: float | None = None,
        give_up_as: GiveUpAs = "gave_up",
        listener: Listener | None = None,
        metrics: Watcher | None = None,
        tracing: TracingOption = "auto",
        on_dead_letter: OnDeadLetter | None = None,
        on_crash: OnCrash | None = None,
        log_arguments: bool = False,
        recorder: RecorderOption = True,
        required: bool = True,
    ) -> None:
        super().__init__(
            name,
            children,
            strategy=strategy,
            intensity=intensity,
            auto_shutdown=auto_shutdown,
            dynamic=False,
            max_children=math.inf,
            restart=restart,
            significant=significant,
            stop_within=stop_within,
            shutdown_budget=shutdown_budget,
            give_up_as=give_up_as,
            required=required,
        )
        self._look_with(listener, metrics, tracing, on_dead_letter, on_crash, log_arguments, recorder)
