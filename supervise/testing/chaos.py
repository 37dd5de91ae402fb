"""Crashes at random: which actor, and when, follows from a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeAlias

from supervise.address.address import weak_address_of
from supervise.errors import SendError
from supervise_strategies.errors import InvalidSpec

from .lives import actors
from .sabotage import Sabotage

if TYPE_CHECKING:
    from supervise._backends import Handle
    from supervise.tree.place import ActorPlace
    from supervise.tree.running import RunningSupervisor

How: TypeAlias = Literal["crash", "kill"]


class Strike(NamedTuple):
    """One crash that chaos caused: when, which life of which actor, and how.

    `at` is seconds of the loop's clock; `how` is `"crash"` or `"kill"`.

        >>> print(Strike(1.5, "app/cart", 3, "kill"))
        1.5 s  app/cart #3 kill
    """

    at: float
    path: str
    incarnation: int
    how: How

    def __str__(self) -> str:
        return f"{self.at:g} s  {self.path} #{self.incarnation} {self.how}"


class Chaos:
    """Crashes in a tree, as long as its `async with` lasts; made by `chaos`.

    `strikes` is what was done so far, in order; `seed` makes it again. It can be entered once
    at a time: RuntimeError if it reigns already.

        >>> import anyio
        >>> async with Supervisor("app", child(list, name="cart")) as app:
        ...     struck: Chaos = chaos(app, rate=1, seed=3, how="kill")
        ...     async with struck:
        ...         await anyio.sleep(1)
        >>> print(struck)
        chaos, seed 3: ...
    """

    def __init__(self, app: RunningSupervisor, rate: float, seed: int, how: How, among: Callable[[str], bool] | None) -> None:
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
            raise InvalidSpec("chaos", "rate", rate, "strikes per second of the loop's clock, more than 0")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise InvalidSpec("chaos", "seed", seed, "a whole number, by which the same strikes come again")
        if how not in ("crash", "kill"):
            raise InvalidSpec("chaos", "how", how, "'crash' or 'kill'", among=("crash", "kill"))
        if among is not None and not callable(among):
            raise InvalidSpec("chaos", "among", among, "a function of an actor's full path, or None for all")
        self.seed: int = seed
        self.strikes: list[Strike] = []
        """What was done so far, in order."""
        self._branch = app._branch
        self._backend = app._branch.tree.backend
        self._rate = rate
        self._random = random.Random(seed)
        self._how: How = how
        self._among = among
        self._next: Handle | None = None
        self._blows: dict[str, _Blow] = {}
        self._error: Exception | None = None

    async def __aenter__(self) -> Self:
        if self._next is not None:
            raise RuntimeError("this chaos reigns already: make another one")
        self._schedule()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._error is not None and error is None:
            raise self._error

    def _schedule(self) -> None:
        # The tree's own timers, not a task: a task group around the body would wrap what the body raises.
        self._next = self._backend.call_at(self._backend.now() + self._random.expovariate(self._rate), self._strike)

    def _strike(self) -> None:
        self._next = None
        tree = self._branch.tree
        if tree.ended is not None or tree.ending.is_set():
            return
        lot = self._random.random()  # drawn also when nobody is there, so that the draws don't depend on who is
        try:
            there = [place for place in actors(self._branch) if self._among is None or self._among(place.mailbox.path)]
        except Exception as error:  # the caller's own function: a timer has nobody to tell, so it waits for the end
            self._error = error
            return
        self._schedule()
        if there:
            there.sort(key=lambda place: place.mailbox.path)
            self._hit(there[int(lot * len(there))])

    def _hit(self, place: ActorPlace) -> None:
        path, number = place.mailbox.path, place.number
        how = self._how
        before = self._blows.pop(path, None)
        if how == "crash":
            blow = _Blow(f"chaos, seed {self.seed}, strike {len(self.strikes) + 1}", number)
            if before is not None and before.number == number and not before.landed:
                how = "kill"  # it is too busy to have come to the last one
            else:
                try:
                    weak_address_of(place.mailbox).try_send(blow)  # a strong one would be its last
                    self._blows[path] = blow
                except SendError:
                    how = "kill"
        self.strikes.append(Strike(self._backend.now(), path, number, how))
        if how == "kill":
            place.kill()

    def __str__(self) -> str:
        """The seed, and a line for each strike."""
        return "\n".join([f"chaos, seed {self.seed}: {len(self.strikes)} strikes", *map(str, self.strikes)])


class _Blow:
    """A message that crashes whoever handles it."""

    __name__ = "chaos"

    def __init__(self, text: str, number: int) -> None:
        self.number = number
        self.landed = False
        self._text = text

    def __call__(self, actor: Any) -> None:
        self.landed = True
        raise Sabotage(self._text)


def chaos(
    app: RunningSupervisor,
    rate: float,
    seed: int,
    *,
    how: How = "crash",
    among: Callable[[str], bool] | None = None,
) -> Chaos:
    """Crash random actors below a supervisor, inside of `async with`.

    In virtual time the same seed gives the same strikes, as far as the actors do the same. Mind
    the intensity: more restarts than it allows make the tree give up, as in earnest. It strikes
    no supervisors.

        rate: Strikes per second of the loop's clock, on average.
        seed: A whole number. Printing the result shows it, and each strike.
        how: `"crash"` (default): a message that raises `Sabotage`. It comes after what waits,
            and counts in the actor's account. An actor that hasn't come to the last one yet, or
            whose mailbox is full, is killed. `"kill"`: as `RunningSupervisor.kill`.
        among: A function of an actor's full path that says whether it is struck (default: all
            are). If it raises, that ends the strikes, and leaves the `async with`.

    Raises `InvalidSpec` for what is none of these.

        >>> import anyio
        >>> tree = Supervisor("app", child(list, name="cart", stop_within=0.01), intensity=Intensity(100))
        >>> async with tree as app:
        ...     async with chaos(app, rate=2, seed=7) as struck:
        ...         await anyio.sleep(2)
        >>> {strike.path for strike in struck.strikes}
        {'app/cart'}
    """
    return Chaos(app, rate, seed, how, among)
