"""What a link, or a gate, says of its interfaces, checked where it is described."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from supervise.address.address import Address, WeakAddress
from supervise.tree.child import Child
from supervise.tree.pool import Pool
from supervise.wire.bodies import LONGEST_NAME, LONGEST_TEXT
from supervise.wire.interface import Interface, Served
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.kind import is_of

from .greeting import Dialing
from .handshake import table_of
from .limits import Limits
from .relay import Relay

_USES = "interfaces, as Interface(…) makes them: uses=[ORDERS]"
_SERVES = "who serves what: serves=[ORDERS.by(orders)]"


def interfaces_of(who: str, field: str, given: Iterable[Interface[Any]]) -> tuple[Interface[Any], ...]:
    """Those that are used. Raises InvalidSpec for anything else, and for a name that stands there twice."""
    found = _tuple_of(who, field, given, _USES)
    names: set[str] = set()
    for each in found:
        used: object = each
        if not is_of(used, Interface):
            raise InvalidSpec(who, field, used, _USES)
        if each.name in names:
            raise InvalidSpec(who, field, each.name, f"the other side has one interface {each.name!r}, and here are two")
        names.add(each.name)
    return found


def served_of(who: str, given: Iterable[Served]) -> tuple[Served, ...]:
    """Those that are served. One interface may be served under several signatures, by several interfaces of its name."""
    found = _tuple_of(who, "serves", given, _SERVES)
    seen: list[Interface[Any]] = []
    for each in found:
        if not is_of(each, Served):
            raise InvalidSpec(who, "serves", each, _SERVES)
        if any(each.interface is other for other in seen):
            raise InvalidSpec(who, "serves", each, "each interface once: of two who serve it the first would get everything")
        seen.append(each.interface)
        actor: object = each.actor
        kinds: tuple[type[Any], ...] = (Child, Pool, Address, WeakAddress, Relay)
        if not is_of(actor, *kinds):
            raise InvalidSpec(who, "serves", actor, "a child, a pool, or the address of an actor of this process")
    return found


def check_side(
    who: str,
    name: str,
    uses: Sequence[Interface[Any]],
    serves: Sequence[Served],
    limits: Limits,
    tls: ssl.SSLContext | None,
    *,
    server: bool,
    token: str | None = None,
) -> None:
    """What both kinds of sides are described with. Raises InvalidSpec."""
    if not isinstance(name, str):
        raise InvalidSpec(who, "name", name, "a name is text, and not empty")
    if len(name) > LONGEST_NAME:
        raise InvalidSpec(who, "name", name, f"at most {LONGEST_NAME} characters")
    if token is not None and (not isinstance(token, str) or len(token) > LONGEST_TEXT):
        raise InvalidSpec(who, "token", "<hidden>", f"a text, of at most {LONGEST_TEXT} characters; or None")
    if not is_of(limits, Limits):
        raise InvalidSpec(who, "limits", limits, "Limits(…), of supervise.remote, which has a default for each")
    wrong = ssl.PROTOCOL_TLS_CLIENT if server else ssl.PROTOCOL_TLS_SERVER
    if tls is not None and (not is_of(tls, ssl.SSLContext) or tls.protocol is wrong):
        kind = "a server's ssl.SSLContext: ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), with load_cert_chain(…)"
        raise InvalidSpec(who, "tls", tls, kind if server else "a client's ssl.SSLContext: ssl.create_default_context()")
    try:  # all that is told once there is a connection: what can't be said then is refused here
        Dialing(table_of(serves), limits, link=bytes(16), life=1, name=name, token=token, uses=[used.name for used in uses])
    except InvalidSpec as error:
        raise InvalidSpec(who, error.field, error.value, error.cure) from None


def check_flags(who: str, **flags: object) -> None:
    """Raises InvalidSpec for one that is neither True nor False."""
    for field, value in flags.items():
        if type(value) is not bool:
            raise InvalidSpec(who, field, value, "True or False")


def check_callable(who: str, field: str, value: Callable[..., Any] | None, cure: str) -> None:
    """Raises InvalidSpec for what is there, and can't be called."""
    if value is not None and not callable(value):
        raise InvalidSpec(who, field, value, cure)


def _tuple_of(who: str, field: str, given: Any, cure: str) -> tuple[Any, ...]:
    if not isinstance(given, str | bytes):
        with suppress(TypeError):
            return tuple(given)
    raise InvalidSpec(who, field, given, cure)
