"""Events for whoever subscribes, here and in other processes: an actor that publishes what it is sent."""

from __future__ import annotations

from typing import Any, cast

from supervise.errors import NotServed
from supervise.tree.child import Child, child
from supervise.tree.current import current
from supervise.wire.interface import Interface
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.kind import is_of, name_of_kind


class Topic:
    """The actor that `topic` describes: it tells its subscribers what it is sent.

    >>> from typing import NamedTuple
    >>> from supervise.wire import Interface
    >>> class Price(NamedTuple):
    ...     cents: int
    >>> class Prices: ...
    >>> async with Supervisor("app", topic(Interface("prices", Prices, events=(Price,)))) as app:
    ...     await app.find("prices").call(Topic.publish, Price(250))
    Traceback (most recent call last):
    NotServed: app/prices is a topic, which answers nobody: send to it
    """

    def __init__(self, interface: Interface[Any]) -> None:
        self._interface = interface

    def publish(self, event: object) -> None:
        """Tell all who subscribe to it. To be sent, not called: nobody answers for so many.

        The event is of one of the classes that the interface declares as `events`, and of no
        subclass. `NotServed` says what is wrong: to whoever calls it, else as the event `Raised`.
        The topic lives on.
        """
        me = current()
        if me._incarnation.in_hand is not None and me._incarnation.in_hand[3] is not None:
            raise NotServed(f"{me.path} is a topic, which answers nobody: send to it")
        self._interface.event(type(event))
        me.publish(event)

    def __repr__(self) -> str:
        return f"<Topic {self._interface.name}>"


def topic(interface: Interface[Any], /, *, name: str | None = None, capacity: float = 1000) -> Child[Topic]:
    """A child that publishes the `events` of an interface, as they are sent to it.

    Whoever has its address sends `Topic.publish` with one of them, and whoever has subscribed gets
    it: `address.subscribe(PriceChanged)`. A slow subscriber harms itself alone. One that comes
    later gets what comes later: nothing is kept.

    Other processes subscribe over a link, with `serves=[PRICES.by(prices)]` at the gate. They may
    publish, too, if the interface declares `publish(self, event: PriceChanged) -> None`. Without
    that, what is published comes from this process alone. If there are several kinds of events,
    such an `event` is a union of them, and they are `msgspec.Struct` with `tag=True`: other
    classes don't say in a union which one it is.

    interface: With `events=(…)`. Its class may have no handlers at all.
    name: Default: that of the interface.
    capacity: How many events may wait to be published.

    A call is `NotServed`, on both sides. Raises `InvalidSpec`.

    >>> from typing import NamedTuple
    >>> from supervise.wire import Interface
    >>> class PriceChanged(NamedTuple):
    ...     item: str
    ...     cents: int
    >>> class Prices: ...
    >>> PRICES = Interface("prices", Prices, events=(PriceChanged,))
    >>> prices = topic(PRICES)
    >>> async with Supervisor("shop", prices) as app:
    ...     async with app.find(prices).subscribe(PriceChanged) as changes:
    ...         await app.find(prices).send(Topic.publish, PriceChanged("tea", 250))
    ...         await changes.receive()
    PriceChanged(item='tea', cents=250)
    """
    given = cast("object", interface)
    if not is_of(given, Interface):
        raise InvalidSpec("topic", "interface", given, "an interface, as Interface(…, events=(PriceChanged,)) makes it")
    if not interface.events:
        cure = f"events: Interface({interface.name!r}, {name_of_kind(cast('type', interface.of))}, events=(…))"
        raise InvalidSpec("topic", "interface", interface.name, f"one that declares {cure}")
    name = interface.name if name is None else name
    return child(Topic, interface, name=name, capacity=capacity, expects=(NotServed,))
