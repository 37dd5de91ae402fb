"""Where other processes come in: a listener, and a link for each of them that is admitted.

Theory of operation
-------------------
- A gate is a supervisor of two: the links that are there, each a child of a dynamic supervisor, and who accepts. Who accepts
  comes last, so it is the first to be stopped: whoever was told goodbye, and comes back at once, isn't let in to be lost.
- TLS, HELLO and `admit` are done in tasks of who accepts, before there is a link: a dynamic supervisor serves one start at a
  time, and silent clients would hold up honest ones (tried: 15 s).
- A newer connection of the same link, by the same identity, first ends the older one, and what came in by that and wasn't
  accepted: else it could get into a mailbox after what came by the new one.
"""

from __future__ import annotations

import inspect
import logging
import math
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeAlias
from weakref import WeakValueDictionary

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketListener

from supervise.actor.factory import Factory
from supervise.errors import ProtocolError, SuperviseError
from supervise.events import Admitted, Refused
from supervise.log import say
from supervise.tree.child import child
from supervise.tree.current import current
from supervise.tree.dynamic import DynamicSupervisor
from supervise.tree.supervisor import Supervisor
from supervise_strategies.errors import InvalidSpec, SupervisorNotRunning
from supervise_strategies.exception import cause_of, interrupts
from supervise_strategies.exit_reason import describe
from supervise_strategies.text import said

from .caller import Admission, Admit, Caller, address_of, caller_at, host_and_port, host_of, verifies
from .endpoint import Endpoint, secured, undelayed
from .handshake import Arrived, Introduced, answer, hear, refuse
from .limits import Limits
from .peer import Peer, Terms
from .seldom import Seldom
from .terms import check_callable, check_flags, check_side, interfaces_of, served_of

if TYPE_CHECKING:
    from supervise.address.address import Address
    from supervise.wire.interface import Interface, Served

    from .link import Link

_ACCEPT_AGAIN: Final = 0.1  # seconds until the next try, when no connection can be taken


Listens: TypeAlias = Callable[[], Awaitable[Iterable[Any]]]
"""An async function that returns listeners, as anyio has them: each with `accept`, `extra` and `aclose`."""


class _Described(NamedTuple):
    """A gate as it is described."""

    name: str
    where: str
    listen: Listens
    delayed: bool
    """Whether its connections are of a kind that keeps frames back to join them."""
    serves: tuple[Served, ...]
    uses: tuple[Interface[Any], ...]
    tls: ssl.SSLContext | None
    admit: Admit | None
    limits: Limits
    links: DynamicSupervisor


class _Place:
    """What one connection takes up of a gate's limits. Its link leaves it, or whoever fails to make that, or both."""

    def __init__(self, places: Counter[str], host: str) -> None:
        self._places = places
        self._host = host
        self.left: bool = False
        places[host] += 1

    def leave(self) -> None:
        """Idempotent."""
        if not self.left:
            self.left = True
            self._places[self._host] -= 1
            if not self._places[self._host]:
                del self._places[self._host]


class _Visitor:
    """Whoever is at the other end of a connection that isn't a link yet."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream: ByteStream = stream
        self.address: str = address_of(stream)  # asked now: a socket that is over doesn't know any more
        self.name: str = ""
        """What it says that it is called; empty: it hasn't said so yet."""
        self.is_asked_about: bool = False
        """Whether it waits for what `admit` says."""


class _NotAdmitted(Exception):
    """It doesn't come in, for this reason."""


class Acceptor:
    """Listens, and hands over to a link of its own whoever is admitted."""

    def __init__(self, gate: _Described) -> None:
        self._gate = gate
        self._listeners: list[SocketListener] = []
        self._from: Counter[str] = Counter()  # connections, by address
        self._handshakes = 0
        self._no_accept, self._no_greeting, self._no_answer = Seldom(), Seldom(), Seldom()
        self._links: dict[tuple[bytes, str], tuple[int, Address[Peer]]] = {}
        self._turns: WeakValueDictionary[tuple[bytes, str], anyio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        self._listeners = [*await self._gate.listen()]
        nursery = current().nursery
        for listener in self._listeners:
            nursery.start_soon(self._listen, listener, name="listener")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            for listener in self._listeners:
                await listener.aclose()

    def addresses(self) -> list[str]:
        """Where it listens, with the ports that were found."""
        found: list[str] = []
        for listener in self._listeners:
            address: Any = listener.extra(SocketAttribute.local_address, None)
            found.append(f"tcp://{host_and_port(address)}" if type(address) is tuple else self._gate.where)
        return found

    async def _listen(self, listener: SocketListener) -> None:
        # Not listener.serve(): there an error of one accept() would end it.
        while True:
            try:
                stream = await listener.accept()
            except Exception as error:
                self._complain(error)
                await anyio.sleep(_ACCEPT_AGAIN)
            else:
                current().nursery.start_soon(self._arrives, stream, name="handshake")

    def _complain(self, error: Exception) -> None:
        if self._no_accept.is_due():
            cause = cause_of(error)
            say(logging.WARNING, "%s: no connection can be taken: %s", current().path, error if cause is None else cause)

    async def _arrives(self, stream: ByteStream) -> None:
        """One connection, until it is a link's, or refused."""
        visitor, host = _Visitor(stream), host_of(stream)
        full = self._full(host)
        if full:
            self._refused(visitor, full)
            await anyio.aclose_forcefully(stream)
            return
        place = _Place(self._from, host)
        self._handshakes += 1
        handed = False
        try:
            arrived = None
            try:
                with anyio.move_on_after(self._gate.limits.greeting) as scope:
                    arrived = await self._greet(visitor)
            finally:
                self._handshakes -= 1
            if arrived is not None:
                handed = await self._hand_over(arrived, place)
            elif scope.cancelled_caught:
                late = "admit hasn't answered" if visitor.is_asked_about else "it hasn't greeted"
                raise _NotAdmitted(f"{late} within {self._gate.limits.greeting:g} s")
        except (_NotAdmitted, ProtocolError) as error:
            self._refused(visitor, said(error))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, ConnectionError):
            pass  # it is gone
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            pass  # it is gone, in the middle of TLS: the second is what CPython 3.11.2 raises for it
        except ssl.SSLError as error:
            self._refused(visitor, f"TLS failed: {said(error)}")
        except (OSError, SupervisorNotRunning):
            pass  # it is gone in another way; or the gate is being stopped
        except Exception as error:
            if self._no_greeting.is_due():
                say(logging.ERROR, "%s: a connection couldn't be taken: %s", current().path, error, error=error)
        finally:
            if not handed:
                place.leave()
                with anyio.CancelScope(shield=True):
                    await anyio.aclose_forcefully(visitor.stream)

    def _full(self, host: str) -> str:
        """Which limit another connection from there would be beyond, if any."""
        limits = self._gate.limits
        for name, number in (
            ("connections", self._from.total()),
            ("per_address", self._from[host]),
            ("handshakes", self._handshakes),
        ):
            most: int = getattr(limits, name)
            if number >= most:
                return f"the limit {name}={most} is reached"
        return ""

    def _refused(self, visitor: _Visitor, why: str) -> None:
        life = current()._incarnation
        life.owner.bus.publish(Refused(life.mailbox.path, visitor.address, visitor.name, why))

    async def _greet(self, visitor: _Visitor) -> Arrived | None:
        """TLS, HELLO, `admit`; None if it has left."""
        gate, stream = self._gate, visitor.stream
        if gate.delayed:
            undelayed(stream.extra(SocketAttribute.raw_socket))
        if gate.tls is not None:
            visitor.stream = stream = await secured(stream, gate.tls, server=True)
        heard = await hear(stream, gate.limits, gate.name, gate.uses)
        if isinstance(heard, str):
            raise _NotAdmitted(heard)
        caller = caller_at(stream, heard.hello)
        visitor.name = caller.name
        visitor.is_asked_about = True
        admission = await self._admitted(caller)
        visitor.is_asked_about = False
        if isinstance(admission, str):
            await refuse(heard, "it isn't admitted")
            raise _NotAdmitted(admission)
        served = gate.serves if admission.serves is None else tuple(admission.serves)
        identity = caller.identity if admission.identity is None else admission.identity
        life = current()._incarnation
        life.owner.bus.publish(Admitted(life.mailbox.path, caller.address, identity, caller.name))
        return await answer(heard, caller, identity, served, gate.uses)

    async def _admitted(self, caller: Caller) -> Admission | str:
        """What `admit` says; a text: why not."""
        admit = self._gate.admit
        if admit is None:
            return Admission()
        try:
            word = admit(caller)
            if inspect.isawaitable(word):
                word = await word
        except BaseException as error:
            if interrupts(error) or anyio.current_effective_deadline() == -math.inf:  # its time is over, or the gate's
                raise
            if self._no_answer.is_due():  # each of them is a `Refused`, too
                say(logging.ERROR, "%s: admit raised %s", current().path, error, error=error)
            return f"admit raised {describe(error)}"
        if isinstance(word, Admission):
            return word
        return Admission() if word is True else "admit says no"

    async def _hand_over(self, arrived: Arrived, place: _Place) -> bool:
        """Make a link of it. An older connection of the same link is ended first; one that is older itself is refused."""
        key = arrived.link, arrived.identity
        links = current().supervisor(self._gate.links)
        # One at a time: of two that wait for the end of the same older one, the second has to end the first.
        async with self._turns.setdefault(key, anyio.Lock()):
            older = self._links.get(key)
            if older is not None:
                life, address = older
                if life >= arrived.life:
                    raise _NotAdmitted("a newer connection of the same link is there")
                with suppress(SuperviseError):  # it may be gone by itself
                    await address.call(Peer._superseded)
                    await address.watch()
            within = self._gate.limits.grace + 2
            link = await links.start(self._factory(arrived, place, key), stop_within=within)
            if not place.left:  # else it has ended already
                self._links[key] = arrived.life, link
        return True

    def _factory(self, arrived: Arrived, place: _Place, key: tuple[bytes, str]) -> Factory[Peer]:
        gate = self._gate
        terms = Terms(gate.where, gate.uses, gate.serves, gate.limits, eager=True)

        def over() -> None:
            place.leave()
            known = self._links.get(key)
            if known is not None and known[0] == arrived.life:
                del self._links[key]

        async def greet(link: Link) -> Introduced:
            return arrived.introduced

        return Factory("link", lambda: Peer(terms, greet, over))


def gate(
    where: str | Listens,
    *,
    serves: Iterable[Served] = (),
    uses: Iterable[Interface[Any]] = (),
    tls: ssl.SSLContext | None = None,
    admit: Admit | None = None,
    insecure: bool = False,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    name: str = "gate",
) -> Supervisor:
    """A supervisor that lets other processes in, each as a link of its own.

    where: `"tcp://0.0.0.0:7000"`, or `"unix:///run/shop.sock"`, which only this user may open.
        Port 0 is any that is free. Or an async function that returns anyio listeners.
    serves: What may be used over it: `[ORDERS.by(orders)]`.
    uses: Interfaces that the other sides may serve in turn; `current().origin.link` leads there.
    tls: The server's context. Without, TCP beyond this machine is refused, but with
        `insecure=True`.
    admit: Who may come in: a function, async or not, of one `Caller`. It answers with an
        `Admission`, or True; False or None refuse. What it raises is logged, and refuses, too.
        Beyond this machine there has to be one, or `tls` has to verify certificates.
    limits: See `Limits`.

    It restarts as one: if it can't listen any more, all of its links end. Raises `InvalidSpec`.

    >>> from supervise.wire import Interface
    >>> class Shop:
    ...     async def sell(self, item: str) -> str: ...
    >>> SHOP, shop = Interface("shop", Shop), child(Shop)
    >>> print(Supervisor("app", shop, gate("unix:///run/shop.sock", serves=[SHOP.by(shop)])))
    app  [one_for_one, 3 in 5 s]
      shop  permanent
      gate  [one_for_all, 3 in 5 s]
        links  [dynamic, 3 in 5 s, at most 1000 children]
        acceptor  permanent
    >>> import anyio
    >>> async def listens() -> list:
    ...     return [await anyio.create_unix_listener("/run/shop.sock", mode=0o660)]
    >>> made: Listens = listens
    >>> gate(made, serves=[SHOP.by(shop)]).name
    'gate'
    >>> gate("tcp://0.0.0.0:7000", serves=[SHOP.by(shop)])
    Traceback (most recent call last):
    InvalidSpec: gate 'gate': tls=None is not valid: a server's ssl.SSLContext; what isn't
        encrypted anybody on the way can read and change: insecure=True
    """
    who = f"gate {name!r}"
    check_flags(who, insecure=insecure)
    check_callable(
        who, "admit", admit, "a function of one Caller, who wants to come in: it returns an Admission, True or False"
    )
    served, used = served_of(who, serves), interfaces_of(who, "uses", uses)
    check_side(who, name, used, served, limits, tls, server=True)
    text, listens, delayed = _listening(who, where, tls, admit, insecure)
    links = DynamicSupervisor("links", max_children=limits.connections)
    described = _Described(name, text, listens, delayed, served, used, tls, admit, limits, links)
    return Supervisor(name, links, child(Acceptor, described, name="acceptor"), strategy="one_for_all")


def _listening(
    who: str, where: str | Listens, tls: ssl.SSLContext | None, admit: Admit | None, insecure: bool
) -> tuple[str, Listens, bool]:
    """What it is called, how it listens, and whether its connections may keep frames back."""
    if not isinstance(where, str) and callable(where):
        return getattr(where, "__name__", "a function"), where, False
    endpoint = Endpoint.parse(who, "where", where)
    if not endpoint.is_private:
        if tls is None and not insecure:
            cure = "a server's ssl.SSLContext; what isn't encrypted anybody on the way can read and change: insecure=True"
            raise InvalidSpec(who, "tls", tls, cure)
        if admit is None and (tls is None or not verifies(tls)):
            cure = "a function that says who may come in; or a tls= that verifies certificates (verify_mode=ssl.CERT_REQUIRED)"
            raise InvalidSpec(who, "admit", admit, cure)
    return str(endpoint), endpoint.listen, not endpoint.path
