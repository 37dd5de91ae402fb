"""A link to a gate, as a child: `dial`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio
from anyio.abc import ByteStream
from tenacity import wait_random_exponential
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from supervise.actor.factory import Factory
from supervise.errors import ConnectionLost
from supervise.tree.child import Child, child
from supervise.tree.current import current
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import cause_of
from supervise_strategies.kind import is_of
from supervise_strategies.restart import Restart
from supervise_strategies.text import said

from .caller import verifies
from .endpoint import Endpoint
from .handshake import Introduced, introduce
from .limits import Limits
from .link import Link
from .peer import Peer, Terms
from .terms import check_flags, check_side, interfaces_of, served_of

if TYPE_CHECKING:
    import ssl

    from supervise.wire.interface import Interface, Served

HEALTHY_AFTER: Final = 1.0
"""Seconds for which it has to be up, for the next wait to be the shortest again."""
Connects: TypeAlias = Callable[[], Awaitable[ByteStream]]
"""A function that returns a connection: an anyio byte stream."""


def connect(
    where: str | Connects,
    /,
    *,
    uses: Iterable[Interface[Any]] = (),
    serves: Iterable[Served] = (),
    tls: ssl.SSLContext | None = None,
    token: str | None = None,
    insecure: bool = False,
    eager: bool = False,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    name: str = "link",
) -> Factory[Peer]:
    """A factory of a link to a gate, for `child`; `dial` makes the child, too.

    where: As of a gate; or an async function that returns an anyio byte stream.
    uses: The interfaces that are called over it. `ORDERS.over(app.find(link))` is the address.
    serves: What the other side may call in turn.
    tls: The client's context, which has to verify the server's certificate. Without, TCP beyond
        this machine is refused, but with `insecure=True`.
    token: What the gate's `admit` may ask for.
    eager: Whether its start waits for the other side (default False): then a start fails where a
        life would.
    limits: See `Limits`.
    name: What the gate is told that this side is called.

    Raises `InvalidSpec`.

    >>> from tenacity import wait_fixed
    >>> again = Restart.permanent(wait=wait_fixed(1))
    >>> child(connect("unix:///run/shop.sock"), name="shop", restart=again, quarantine=5)
    <Child shop permanent(wait=wait_fixed(wait_fixed=1.0))>
    >>> import anyio
    >>> tunnel: Connects = lambda: anyio.connect_tcp("127.0.0.1", 7001)
    >>> connect(tunnel, name="shop")
    <Factory shop>
    """
    who = f"link {name!r}"
    check_flags(who, insecure=insecure, eager=eager)
    used, served = interfaces_of(who, "uses", uses), served_of(who, serves)
    check_side(who, name, used, served, limits, tls, server=False, token=token)
    if isinstance(where, str):
        endpoint = Endpoint.parse(who, "where", where)
        if not endpoint.is_private and tls is None and not insecure:
            cure = "a client's ssl.SSLContext; what isn't encrypted anybody on the way can read and change: insecure=True"
            raise InvalidSpec(who, "tls", tls, cure)
        text, connects = str(endpoint), _connecting(endpoint, tls)
    elif callable(where):
        text, connects = getattr(where, "__name__", "a function"), where
    else:
        raise InvalidSpec(who, "where", where, "'tcp://host:port', 'unix:///path', or an async function that connects")
    if tls is not None and not verifies(tls):
        raise InvalidSpec(who, "tls", tls, "a context that verifies the server's certificate: ssl.create_default_context()")
    terms = Terms(text, used, served, limits, eager)

    async def greet(link: Link) -> Introduced:
        stream = await _reached(text, connects, limits)
        return await introduce(stream, link, terms, name, token, current().incarnation)

    return Factory(name, lambda: Peer(terms, greet))


def dial(
    where: str | Connects,
    /,
    *,
    uses: Iterable[Interface[Any]] = (),
    serves: Iterable[Served] = (),
    tls: ssl.SSLContext | None = None,
    token: str | None = None,
    insecure: bool = False,
    eager: bool = False,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    name: str = "link",
    wait: wait_base | None = None,
    stop: stop_base | None = None,
    capacity: float = 1000,
    required: bool = True,
) -> Child[Peer]:
    """A link to a gate, as a child that comes back for ever.

    What isn't told here is told at `connect`. Its start doesn't wait for the other side. What is
    sent meanwhile waits in its mailbox. It comes back whenever its connection ends, after a wait of
    its own, and costs its supervisor's intensity nothing.

    wait: tenacity's wait between two tries. Default: random, and growing, from 0.1 to 30 s.
    stop: When it gives up for good. Default: never.
    capacity: How many messages may wait for a connection.
    required: Whether the tree isn't ready while the link isn't there.

    Raises `InvalidSpec`.

    >>> from supervise.testing import FakeNetwork
    >>> from supervise.wire import Interface
    >>> class Shop:
    ...     async def sell(self, item: str) -> str:
    ...         return f"{item} is sold"
    >>> SHOP, network, shop = Interface("shop", Shop), FakeNetwork(), child(Shop)
    >>> there = Supervisor("there", shop, gate(network.listen, serves=[SHOP.by(shop)]))
    >>> link = dial(network.connect, uses=[SHOP])  # or dial("tcp://shop:7000", …, tls=context)
    >>> async with there, Supervisor("web", link) as web:
    ...     await SHOP.over(web.find(link)).call(Shop.sell, "tea")
    'tea is sold'
    """
    factory = connect(
        where, uses=uses, serves=serves, tls=tls, token=token, insecure=insecure, eager=eager, limits=limits, name=name
    )
    wait = wait_random_exponential(multiplier=0.2, max=30, min=0.1) if wait is None else wait
    # That it was admitted is a good sign already: the time before that doesn't count.
    restart = Restart.permanent(wait=wait, stop=stop, healthy_after=HEALTHY_AFTER)
    return child(
        factory, name=name, restart=restart, capacity=capacity, required=required, stop_within=limits.grace + 2, own_task=True
    )


def _connecting(endpoint: Endpoint, tls: ssl.SSLContext | None) -> Connects:
    async def connects() -> ByteStream:
        return await endpoint.connect(tls)

    return connects


async def _reached(where: str, connects: Connects, limits: Limits) -> ByteStream:
    try:
        with anyio.fail_after(limits.connect):
            made = connects()
            return await made if inspect.isawaitable(made) else made
    except TimeoutError:
        raise ConnectionLost(f"{where} wasn't reached within {limits.connect:g} s") from None
    except OSError as error:
        raise ConnectionLost(f"{where} isn't reached: {_said(error)}") from None  # the text says all: it may come each 30 s


def _said(error: OSError) -> str:
    """It, with what anyio says for each address that was tried."""
    causes = [cause] if (cause := cause_of(error)) is not None else []
    if is_of(cause, BaseExceptionGroup):
        causes = [*cause.exceptions]
    told = dict.fromkeys(said(each) for each in (error, *causes))
    return ": ".join([*told][:3])
