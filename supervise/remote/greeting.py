"""How both sides of a connection meet: who they are, what they serve, and what holds between them.

Theory of operation
-------------------
- Each side sends HELLO, a SERVES for each interface, READY. It has met the other one when it has sent and received READY.
- The dialing side sends all of it at once. The gate first reads HELLO, and asks who may come in: what it answers depends on
  that. Until then nobody has said who reads its answer, so it tells nothing but its versions.
- A gate doesn't read on while it asks. So the table of somebody who isn't admitted is never looked at, nor kept.
- What came in is decoded here, and of no more than bounded size. What goes out is made when the machine is, or when it admits,
  so that a table that can't cross is the fault of who serves it (`InvalidSpec`), and no fault of the connection.

Nothing here waits or knows a clock. `take` gets the frames one by one, and returns what to send and what is known now. How long
it may last is up to who calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import ClassVar, Final, NamedTuple, TypeAlias

from msgspec.structs import replace

from supervise.errors import ProtocolError
from supervise.wire.bodies import LONGEST_WHY, VERSIONS, Goodbye, Hello, decode_body, encode_body
from supervise.wire.frames import GREETING, Frame, Kind
from supervise.wire.table import Table, TableReader
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.text import one_line, said

from .limits import Limits


class Greeted(NamedTuple):
    """The other side has said who it is. A gate asks now who may come in: `admit`, or `refuse`."""

    hello: Hello
    version: int
    """The one that both speak."""


class Met(NamedTuple):
    """The link is up. Frames that come now are the link's; its `FrameReader` gets the limit `limits.frame`."""

    hello: Hello
    """The other side's, without the token."""
    version: int
    limits: Limits
    """What holds: of what both sides say, the smaller."""
    ours: Table
    """What the other side may use, numbered as it numbers it."""
    theirs: Table


class Refused(NamedTuple):
    """There will be no link. Nothing that comes now matters."""

    why: str
    """On one line, whoever said it."""
    versions: tuple[int, int] | None
    """The other side's, if it said them."""
    ours: bool
    """This side refuses; else the other one does."""


Fact: TypeAlias = Greeted | Met | Refused


class Step(NamedTuple):
    """What to send, in this order, and what is known now, if anything is."""

    frames: tuple[Frame, ...] = ()
    fact: Fact | None = None


class _State(Enum):
    STRANGERS = "HELLO is to come"
    ASKING = "admit() or refuse() is to be called"
    TABLE = "SERVES or READY is to come"
    MET = "the greeting is over, and frames are the link's"
    OVER = "nothing is to come"


class _Greeting:
    """What both sides do alike."""

    __slots__ = ("_hello", "_limits", "_ours", "_state", "_table", "_theirs", "_version")
    _role: ClassVar[str]
    _other: ClassVar[str]
    _then: ClassVar[_State]  # once the other side has said who it is

    def __init__(
        self,
        ours: Table,
        limits: Limits,
        hello: Hello,
    ) -> None:
        self._state = _State.STRANGERS
        self._ours = ours
        self._limits = limits
        self._hello = hello
        self._theirs: Hello | None = None
        self._version = 0
        self._table = TableReader()

    @property
    def over(self) -> bool:
        """It has led to a link, or to none."""
        return self._state in (_State.MET, _State.OVER)

    def take(self, frame: Frame) -> Step:
        """The next frame of the other side.

        Raises `ProtocolError` for one that wasn't to come now, or has wrong things in it. After
        that, and after `Refused`, whatever comes is passed over.
        """
        if self._state is _State.OVER:
            return Step()
        if self._state in (_State.MET, _State.ASKING):
            raise RuntimeError(f"no frame can be taken: {self._state.value}")
        todo = _EXPECTED.get((self._state, frame.kind)) or _ALWAYS.get(frame.kind)
        try:
            if todo is None:
                raise ProtocolError("order", f"{frame.kind.name} from the {self._other}, and {self._state.value}")
            return todo(self, frame)
        except ProtocolError:
            self._state = _State.OVER
            raise

    def refuse(self, why: str = "refused") -> Step:
        """End it with GOODBYE. The other side is told why, and the versions."""
        if self.over:
            return Step()
        self._state = _State.OVER
        versions = self._hello.versions
        body = encode_body(Goodbye(why=why, versions=versions))
        theirs = None if self._theirs is None else self._theirs.versions
        return Step((Frame(Kind.GOODBYE, body=body),), Refused(one_line(why, LONGEST_WHY), theirs, ours=True))

    def _introduced(self, frame: Frame) -> Step:
        hello = decode_body(Hello, frame.body)
        self._theirs = replace(hello, token=None)
        (lowest, highest), (far_lowest, far_highest) = self._hello.versions, hello.versions
        self._version = min(highest, far_highest)
        if self._version < max(lowest, far_lowest):
            own = f"the {self._role} speaks {lowest} to {highest}"
            return self.refuse(f"no version in common: {own}, the {self._other} {far_lowest} to {far_highest}")
        self._limits = self._limits.with_theirs(hello.limits)
        self._state = self._then
        return Step(fact=Greeted(hello, self._version))

    def _listed(self, frame: Frame) -> Step:
        self._table.add(frame.body)
        return Step()

    def _ready(self, _: Frame) -> Step:
        assert self._theirs is not None
        self._state = _State.MET
        return Step(fact=Met(self._theirs, self._version, self._limits, self._ours, self._table.whole()))

    def _pinged(self, frame: Frame) -> Step:
        return Step((Frame(Kind.PONG, frame.id),))

    def _left(self, frame: Frame) -> Step:
        goodbye = decode_body(Goodbye, frame.body)
        self._state = _State.OVER
        return Step(fact=Refused(one_line(goodbye.why, LONGEST_WHY), goodbye.versions, ours=False))

    def _all(self) -> tuple[Frame, ...]:
        hello = Frame(Kind.HELLO, body=encode_body(self._hello))
        self._hello = replace(self._hello, token=None)
        return (hello, *self._ours.frames(), Frame(Kind.READY))


_Way: TypeAlias = Callable[[_Greeting, Frame], Step]
_EXPECTED: Final[dict[tuple[_State, Kind], _Way]] = {
    (_State.STRANGERS, Kind.HELLO): _Greeting._introduced,
    (_State.TABLE, Kind.SERVES): _Greeting._listed,
    (_State.TABLE, Kind.READY): _Greeting._ready,
}
_ALWAYS: Final[dict[Kind, _Way]] = {Kind.PING: _Greeting._pinged, Kind.GOODBYE: _Greeting._left}


class Dialing(_Greeting):
    """The side that has connected.

    `link` are 16 random bytes, the same over all connections of this link, and `life` is higher
    with each of them. Raises `InvalidSpec` for what the other side couldn't take.

    >>> dialing = Dialing(Table(), Limits(), link=bytes(16), life=1, name="web", token="secret")
    >>> gate = Answering(Table(), Limits(), link=bytes(16), life=1, name="shop")
    >>> hello, ready = dialing.begin().frames
    >>> print(gate.take(hello).fact.hello)
    Hello(name='web', life=1, versions=(1, 1), uses=(), token=<hidden>)
    >>> [dialing.take(frame).fact for frame in gate.admit().frames][1].hello.name
    'shop'
    >>> gate.take(ready).fact.hello
    Hello(name='web', life=1, versions=(1, 1), uses=())
    """

    __slots__ = ("_out",)
    _role = "dialing side"
    _other = "gate"
    _then = _State.TABLE

    def __init__(
        self,
        ours: Table,
        limits: Limits,
        *,
        link: bytes,
        life: int,
        name: str = "",
        token: str | None = None,
        uses: Iterable[str] = (),
        versions: tuple[int, int] = VERSIONS,
    ) -> None:
        super().__init__(ours, limits, _hello(limits, link, life, name, token, uses, versions))
        self._out = self._all()

    def begin(self) -> Step:
        """All that is said at once. It is made only once: it has the token."""
        out, self._out = self._out, ()
        return Step(out)


class Answering(_Greeting):
    """The gate's side of one connection.

    When `take` says `Greeted`, `admit` or `refuse` is to be called before anything is taken.
    """

    __slots__ = ()
    _role = "gate"
    _other = "dialing side"
    _then = _State.ASKING

    def __init__(
        self,
        ours: Table,
        limits: Limits,
        *,
        link: bytes,
        life: int,
        name: str = "",
        uses: Iterable[str] = (),
        versions: tuple[int, int] = VERSIONS,
    ) -> None:
        super().__init__(ours, limits, _hello(limits, link, life, name, None, uses, versions))

    def admit(self, names: Iterable[str] | Table | None = None) -> Step:
        """Let it in: it may use the interfaces of these names, all, or a table of its own.

        Raises `InvalidSpec` for a name that isn't served.
        """
        if self._state is not _State.ASKING:
            raise RuntimeError(f"nobody is to be admitted: {self._state.value}")
        if isinstance(names, Table):
            self._ours = names
        elif names is not None:
            served = {one.interface for one in self._ours.interfaces}
            admitted = (names,) if isinstance(names, str) else tuple(names)
            for name in admitted:
                if name not in served:
                    raise InvalidSpec("admit", "names", name, "names of interfaces that are served here", among=served)
            self._ours = self._ours.only(admitted)
        out = self._all()
        self._state = _State.TABLE
        return Step(out)


def _hello(
    limits: Limits, link: bytes, life: int, name: str, token: str | None, uses: Iterable[str], versions: tuple[int, int]
) -> Hello:
    """What this side says of itself, if the other one can take it."""
    try:
        hello = Hello(
            versions=versions,
            link=link,
            life=life,
            limits=limits.sizes(),
            name=name,
            token=token,
            uses=(uses,) if isinstance(uses, str) else tuple(uses),
        )
        body = encode_body(hello)
        decode_body(Hello, body)
    except (ProtocolError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        fault = said(error)
    else:
        if len(body) <= _ROOM:
            return hello
        fault = f"at most {_ROOM} bytes, and it has {len(body)}"
    raise InvalidSpec("greeting", "hello", name, f"what HELLO can say: {fault}")


_ROOM: Final = GREETING - 13  # around a body
