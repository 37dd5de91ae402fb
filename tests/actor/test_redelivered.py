"""How a message is tried again: after how long, for which errors, and by what its handler says.

Tested: SEMANTICS 54: `Redeliver(times, wait, when)`, `@redelivered`, order, what skips the wait, what the caller gets.
"""

from __future__ import annotations

from functools import partial, partialmethod, singledispatchmethod
from typing import Any

import anyio
import pytest
from tenacity import retry_if_exception_type, retry_if_not_exception_type, stop_after_attempt, wait_exponential, wait_fixed

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    Intensity,
    InvalidSpec,
    MessageDropped,
    Redeliver,
    Restart,
    Supervisor,
    Undelivered,
    child,
    concurrent,
    current,
    redelivered,
)
from supervise.adapters.own_thread import own_thread
from supervise.events import DeadLetter, Decided, Event, Lost
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Outcomes
from tests.real_clock import on_the_real_clock

pytestmark = pytest.mark.anyio
Log = list[tuple[float, Any]]


class Worker:
    """Fails so often with what it is told to do, and notes when it was asked for what."""

    def __init__(self, log: Log, fails: dict[Any, int]) -> None:
        self.log = log
        self.fails = fails

    def _try(self, what: Any, error: type[Exception]) -> str:
        self.log.append((anyio.current_time(), what))
        if self.fails.get(what, 0):
            self.fails[what] -= 1
            raise error(what)
        return f"{what} at attempt {current().attempt}"

    async def work(self, what: Any, error: type[Exception] = Boom) -> str:
        return self._try(what, error)

    @redelivered(5, wait=wait_fixed(2))
    async def patient(self, what: Any) -> str:
        return self._try(what, Boom)

    @redelivered(0)
    async def once(self, what: Any) -> str:
        return self._try(what, Boom)

    @redelivered(2)
    @concurrent
    async def beside(self, what: Any) -> str:
        return self._try(what, Boom)

    @concurrent
    @redelivered(2)
    async def beside_too(self, what: Any) -> str:
        return self._try(what, Boom)


class Scene:
    def __init__(self, fails: dict[Any, int], **options: Any) -> None:
        self.log: Log = []
        self.events: list[Event] = []
        worker = child(Worker, self.log, fails, name="worker", **options)
        self.tree = Supervisor("app", worker, listener=self.events.append)
        self.begun = 0.0

    def times(self, what: Any) -> list[float]:
        return [round(at - self.begun, 3) for at, each in self.log if each == what]

    @property
    def order(self) -> list[Any]:
        return [what for _, what in self.log]

    @property
    def lost(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, DeadLetter)]


async def test_each_try_waits_as_its_policy_says() -> None:
    scene = Scene({"a": 4}, redeliver=Redeliver(5, wait=wait_exponential(multiplier=1)))
    async with scene.tree as app:
        scene.begun = anyio.current_time()
        assert await app.find("worker").call(Worker.work, "a") == "a at attempt 5"
        assert scene.times("a") == [0, 1, 3, 7, 15]
        assert app.restarts == 1, "only the first crash by it is counted"


async def test_while_it_waits_it_holds_its_lane_and_order_stays() -> None:
    scene = Scene({"a": 2}, redeliver=Redeliver(5, wait=wait_fixed(3)))
    async with scene.tree as app:
        worker: Address[Worker] = app.find("worker")
        for what in ("a", "b", "c"):
            await worker.send(Worker.work, what)
        await anyio.sleep(2)
        await worker.send(Worker.work, "d")
        assert scene.order == ["a"]
        assert await worker.ping() >= 0, "control is never held up"
        await anyio.sleep(10)
        assert scene.order == ["a", "a", "a", "b", "c", "d"]


@pytest.mark.parametrize("choice", ["strict", "fair"])
async def test_other_lanes_go_on(choice: Any) -> None:
    scene = Scene({"a": 1}, redeliver=Redeliver(5, wait=wait_fixed(10)), lanes=("urgent", "normal"), choice=choice)
    async with scene.tree as app:
        worker: Address[Worker] = app.find("worker")
        for what in ("a", "b"):
            await worker.send(Worker.work, what)
        await at_rest()
        for what in ("u", "v"):
            await worker.options(lane="urgent").send(Worker.work, what)
        await at_rest()
        assert scene.order == ["a", "u", "v"]
        await anyio.sleep(11)
        assert scene.order == ["a", "u", "v", "a", "b"]


@pytest.mark.parametrize("how", ["stop", "drain"])
async def test_a_drain_and_a_stop_with_grace_skip_the_wait(how: str) -> None:
    scene = Scene({"a": 1}, redeliver=Redeliver(5, wait=wait_fixed(1000)), drain=True)
    async with scene.tree as app:
        worker: Address[Worker] = app.find("worker")
        for what in ("a", "b"):
            await worker.send(Worker.work, what)
        await at_rest()
        scene.begun = anyio.current_time()
        await (worker.stop(grace=5) if how == "stop" else app.terminate_child("worker"))
        assert anyio.current_time() == scene.begun
        assert scene.order == ["a", "a", "b"]
        assert not scene.lost


async def test_a_caller_who_is_gone_lets_its_lane_go_on_at_once() -> None:
    scene = Scene({"a": 1}, redeliver=Redeliver(5, wait=wait_fixed(1000)))
    async with scene.tree as app:
        worker: Address[Worker] = app.find("worker")
        scene.begun = anyio.current_time()
        with anyio.move_on_after(3):
            await worker.call(Worker.work, "a")
        assert await worker.call(Worker.work, "b") == "b at attempt 1"
        assert scene.times("b") == [3]
        assert worker.account().abandoned == 1


async def test_one_that_is_taken_out_lets_its_lane_go_on() -> None:
    scene = Scene({"a": 1}, redeliver=Redeliver(5, wait=wait_fixed(1000)))
    async with scene.tree as app:
        worker: Address[Worker] = app.find("worker")
        await worker.send(Worker.work, "a")
        await at_rest()
        await worker.send(Worker.work, "b")
        assert worker.drop(lambda message: message.args[0] == "a") == 1
        await at_rest()
        assert scene.order == ["a", "b"]


def is_of_the_system(error: Exception) -> bool:
    return isinstance(error, OSError)


@pytest.mark.parametrize("when", [retry_if_exception_type(OSError), retry_if_not_exception_type(Boom), is_of_the_system])
async def test_when_decides_which_errors_are_worth_another_try(when: Any) -> None:
    scene = Scene({"a": 2, "b": 2}, redeliver=Redeliver(5, when=when))
    async with scene.tree as app:
        worker: Address[Worker] = app.find("worker")
        assert await worker.call(Worker.work, "a", ConnectionError) == "a at attempt 3"
        with pytest.raises(ActorCrashed, match="Boom: b"):
            await worker.call(Worker.work, "b")
        assert scene.order == ["a", "a", "a", "b"]


async def test_when_is_asked_of_the_culprit_only() -> None:
    asked: list[Exception] = []

    def when(error: Exception) -> bool:
        asked.append(error)
        return False

    scene = Scene({"a": 1}, redeliver=Redeliver(5, when=when))
    async with scene.tree as app, anyio.create_task_group() as group:
        worker: Address[Worker] = app.find("worker")
        outcomes = Outcomes(group)
        gate = anyio.Event()

        @concurrent
        async def wait(_: Worker) -> int:
            await gate.wait()
            return current().attempt

        await outcomes.watch("innocent", worker.call(wait))
        await at_rest()
        await worker.send(Worker.work, "a")
        await at_rest()
        gate.set()
        await at_rest()
        assert (outcomes.of["innocent"], len(asked)) == (2, 1)


def raises(_: Any) -> Any:
    raise Boom("in a policy")


def nonsense(_: Any) -> float:
    return float("nan")


@pytest.mark.parametrize("policy", [{"when": raises}, {"wait": raises}, {"wait": nonsense}])
async def test_policies_that_raise_or_talk_nonsense(policy: Any, caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene({"a": 1}, redeliver=Redeliver(2, **policy))
    async with scene.tree as app:
        await app.find("worker").send(Worker.work, "a")
        await at_rest()
        assert scene.order == (["a"] if "when" in policy else ["a", "a"])
        (name,) = policy
        assert any(text.startswith(f"app/worker #1: the {name}= of its redeliver= raised ") for text in caplog.messages)


async def test_a_handler_says_it_for_itself() -> None:
    scene = Scene({"p": 3, "o": 1, "w": 1, "b": 2, "c": 2}, redeliver=1, restart=Restart.permanent(wait=wait_fixed(0.1)))
    async with scene.tree as app:
        worker: Address[Worker] = app.find("worker")
        assert await worker.call(Worker.patient, "p") == "p at attempt 4"
        with pytest.raises(ActorCrashed):
            await worker.call(Worker.once, "o")
        assert await worker.call(Worker.work, "w") == "w at attempt 2"
        assert await worker.call(Worker.beside, "b") == "b at attempt 3"
        assert await worker.call(Worker.beside_too, "c") == "c at attempt 3"


async def test_poison_under_the_defaults_ends_as_one_dead_letter_and_the_tree_lives() -> None:
    scene = Scene({"poison": 99}, redeliver=5)
    async with scene.tree as app:
        worker: Address[Worker] = app.find("worker")
        await worker.send(Worker.work, "poison")
        for what in ("b", "c"):
            await worker.send(Worker.work, what)
        await at_rest()
        assert scene.order == [*["poison"] * 6, "b", "c"]
        assert scene.lost == ["Worker.work(str)"]
        assert (app.restarts, app.ended) == (1, None)


async def test_poison_and_a_quarantine() -> None:
    scene = Scene({"poison": 99, "again": 99}, redeliver=5, quarantine=3)
    async with scene.tree as app:
        worker: Address[Worker] = app.find("worker")
        for what in ("poison", "b", "again"):
            await worker.send(Worker.work, what)
        await at_rest()
        assert scene.order == [*["poison"] * 6, "b", *["again"] * 6]
        assert app.get_childspec("worker").state.value == "running", "each is one step of the row"
        assert app.get_childspec("worker").alike == 2


# -- what its caller gets, if no life follows ------------------------------------------------------------------------------


async def test_a_crash_that_no_life_follows_gives_the_caller_its_cause() -> None:
    scene = Scene({"a": 99}, redeliver=5, limit=Intensity(0))
    async with scene.tree as app:
        with pytest.raises(ActorCrashed, match="Boom: a") as raised:
            await app.find("worker").call(Worker.work, "a")
        assert isinstance(raised.value.__cause__, Boom)


async def test_after_the_decision_its_text_is_left() -> None:
    log: Log = []
    down = anyio.Event()

    def build() -> Worker:
        if down.is_set():
            raise ConnectionError("down")
        return Worker(log, {"a": 99})

    patient = Restart.permanent(wait=wait_fixed(1), stop=stop_after_attempt(3))
    async with Supervisor("app", child(build, name="worker", redeliver=5, restart=patient)) as app:
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            await outcomes.watch("a", app.find("worker").call(Worker.work, "a"))
            await at_rest()
            down.set()
            await anyio.sleep(10)
            crashed = outcomes.of["a"]
            assert isinstance(crashed, ActorCrashed)
            assert str(crashed) == "app/worker #1 crashed with Worker.work in hand: Boom: a"
            assert crashed.__cause__ is None
            assert crashed.message is not None


async def take_long(_: Worker) -> None:
    await anyio.sleep(1000)


@pytest.mark.parametrize("redeliver", [0, 2])
async def test_what_is_cut_by_a_stop_for_good_is_the_same_with_redelivery(redeliver: int) -> None:
    got: list[Undelivered] = []
    scene = Scene({}, redeliver=redeliver, stop_within=1, on_dead_letter=got.append)
    async with scene.tree as app, anyio.create_task_group() as group:
        worker: Address[Worker] = app.find("worker")
        outcomes = Outcomes(group)
        await outcomes.watch("call", worker.call(take_long))
        await app.terminate_child("worker")
        await at_rest()
        told = outcomes.of["call"]
        assert isinstance(told, ActorStopped)
        assert str(told) == "app/worker #1 was stopped (killed) with take_long in hand: a longer stop_within lets it finish"
        assert (told.begun, worker.account().failed, worker.account().dead_lettered) == (True, 1, 0)
        await app.restart_child("worker")
        await worker.send(take_long)
        await at_rest()
        await app.terminate_child("worker")
        assert [(letter.why, letter.attempts) for letter in got] == [("in hand when #2 ended: killed", 1)]
        cures = [event.cure for event in scene.events if isinstance(event, Lost)]
        assert cures == ["a longer stop_within lets it finish"]


@pytest.mark.parametrize("redeliver", [0, 2])
async def test_a_send_whose_crash_no_life_follows_is_a_dead_letter_with_its_error(redeliver: int) -> None:
    got: list[Undelivered] = []
    scene = Scene({"a": 9}, redeliver=redeliver, restart="temporary", on_dead_letter=got.append)
    async with scene.tree as app:
        await app.find("worker").send(Worker.work, "a")
        await at_rest()
        assert len(got) == 1
        assert isinstance(got[0].error, Boom)
        assert got[0].why.startswith("in hand when #1 ended: crashed (Boom: a)")
        assert got[0].attempts == 1
        assert not any("waiting" in str(event) for event in scene.events if isinstance(event, Lost)), "it was in hand"


async def test_one_that_was_begun_and_is_taken_out_says_so() -> None:
    scene = Scene({"a": 9, "b": 9}, redeliver=Redeliver(5, wait=wait_fixed(1000)))
    async with scene.tree as app, anyio.create_task_group() as group:
        worker: Address[Worker] = app.find("worker")
        outcomes = Outcomes(group)
        await outcomes.watch("dropped", worker.call(Worker.work, "a"))
        await at_rest()
        worker.drop(lambda _: True)
        await at_rest()
        dropped = outcomes.of["dropped"]
        assert (type(dropped), dropped.begun) == (MessageDropped, True)
        assert str(dropped.__cause__) == "app/worker #1 crashed with Worker.work in hand: Boom: a"
        await outcomes.watch("discarded", worker.call(Worker.work, "b"))
        await at_rest()
        await app.terminate_child("worker")
        await at_rest()
        discarded = outcomes.of["discarded"]
        assert str(discarded) == "app/worker #2 crashed with Worker.work in hand: Boom: b"
        assert (type(discarded), discarded.begun) == (ActorCrashed, True)


async def test_the_first_crash_by_one_that_was_in_hand_at_anothers_is_counted() -> None:
    scene = Scene({"culprit": 2, "innocent": 1}, redeliver=5)
    async with scene.tree as app, anyio.create_task_group() as group:
        worker: Address[Worker] = app.find("worker")
        gate = anyio.Event()

        @concurrent
        async def wait_first(actor: Worker) -> str:
            if current().attempt < 3:
                await gate.wait()
            return await actor.work("innocent")

        outcomes = Outcomes(group)
        await outcomes.watch("innocent", worker.call(wait_first))
        await worker.send(Worker.work, "culprit")
        await at_rest()
        assert scene.order.count("culprit") == 3
        decided = [event.decision.rule for event in scene.events if isinstance(event, Decided)]
        assert ["isn't counted" in rule for rule in decided] == [False, True, False]
        assert outcomes.of["innocent"] == "innocent at attempt 4"


class Lends:
    """What handlers are made of here says that it is tried again."""

    def __init__(self) -> None:
        self.tries: list[str] = []

    @redelivered(2)
    def lend(self, what: str) -> None:
        self.tries.append(what)
        raise Boom(what)

    lend_one = partialmethod(lend, "one")

    @singledispatchmethod
    @redelivered(2)
    def lend_any(self, what: object) -> None:
        self.lend(str(what))


@pytest.mark.parametrize(
    ("handler", "args"),
    [
        pytest.param(partial(Lends.lend, what="a"), [], id="a partial"),
        pytest.param(Lends.lend_one, [], id="a partialmethod"),
        pytest.param(Lends.lend_any, ["a"], id="a singledispatchmethod"),
    ],
)
async def test_what_is_made_of_a_marked_function_is_marked(handler: Any, args: list[str]) -> None:
    made: list[Lends] = []

    def build() -> Lends:
        made.append(Lends())
        return made[-1]

    async with Supervisor("app", child(build, name="lends")) as app:
        with pytest.raises(ActorCrashed):
            await app.find("lends").call(handler, *args)
        assert sum(len(each.tries) for each in made) == 3


@on_the_real_clock
async def test_the_mark_of_a_threads_method_counts() -> None:
    made: list[Lends] = []

    class InThread(Lends):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    async with Supervisor("app", child(own_thread(InThread), name="lends", on_error="crash")) as app:
        with pytest.raises(ActorCrashed):
            await app.find("lends").call(InThread.lend, "a")
        assert sum(len(each.tries) for each in made) == 3


CHILD: Any = child
REDELIVER: Any = Redeliver
MARK: Any = redelivered(1)
REFUSED: list[tuple[Any, str]] = [
    (lambda: CHILD(Worker, name="w", redeliver=-1), r"child 'w': redeliver=-1 .*whole number.*or Redeliver\(times"),
    (lambda: CHILD(Worker, name="w", redeliver=True), "redeliver=True"),
    (lambda: Redeliver(-1), "Redeliver: times=-1"),
    (lambda: REDELIVER(2.5), "a whole number"),
    (lambda: REDELIVER(2, wait=3), r"Redeliver: wait=3 .*wait=wait_fixed\(1\)"),
    (lambda: REDELIVER(2, when=OSError), r"when=retry_if_exception_type\(OSError\)"),
    (lambda: redelivered(-1), "Redeliver: times=-1"),
    (lambda: MARK(3), "@redelivered: function='3'"),
]


@pytest.mark.parametrize(("make", "text"), REFUSED)
def test_what_can_never_work_is_refused(make: Any, text: str) -> None:
    with pytest.raises(InvalidSpec, match=text):
        make()
