"""What a link, or a gate, says of its interfaces, checked where it is described."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from supervise.address.address import Address, WeakAddress
from supervise.tree.child import Child
from supervise.tree.pool import Pool
from supervise.wire.interface import Interface, Served
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.kind import is_of

from .relay import Relay


def interfaces_of(who: str, field: str, given: Iterable[Interface[Any]]) -> tuple[Interface[Any], ...]:
    """Those that are used. Raises InvalidSpec for anything else, and for a name that stands there twice."""
    found = tuple(given)
    names: set[str] = set()
    for each in found:
        used: object = each
        if not is_of(used, Interface):
            raise InvalidSpec(who, field, used, "interfaces, as Interface(…) makes them: uses=[ORDERS]")
        if each.name in names:
            raise InvalidSpec(who, field, each.name, f"the other side has one interface {each.name!r}, and here are two")
        names.add(each.name)
    return found


def served_of(who: str, given: Iterable[Served]) -> tuple[Served, ...]:
    """Those that are served. One interface may be served under several signatures, by several interfaces of its name."""
    found = tuple(given)
    for each in found:
        if not is_of(each, Served):
            raise InvalidSpec(who, "serves", each, "who serves what: serves=[ORDERS.by(orders)]")
        actor: object = each.actor
        kinds: tuple[type[Any], ...] = (Child, Pool, Address, WeakAddress, Relay)
        if not is_of(actor, *kinds):
            raise InvalidSpec(who, "serves", actor, "a child, a pool, or the address of an actor of this process")
    return found
