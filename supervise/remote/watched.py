"""What of the own actors the other side of a connection looks at: it is told of their ends, and of what they publish."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sized
from typing import TYPE_CHECKING, Any, Final

import anyio

from supervise.errors import CallError, ProtocolError, SubscriberTooSlow, SuperviseError
from supervise.log import say
from supervise.wire.bodies import DownBody, EndedBody, MissedBody, SubscribeBody, decode_body, encode_body
from supervise.wire.frames import EXTRA, Frame
from supervise.wire.kinds import Kind
from supervise.wire.remote_address import RemoteSubscription

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from supervise.mailbox.observers import Down
    from supervise.mailbox.subscription import Subscription
    from supervise.wire.codec import Event

    from .connection import Connection
    from .target import Target

MOST: Final = 1000
"""Watches of one connection, and as many subscriptions."""


class _Feed:
    """One subscription of the other side."""

    def __init__(self, number: int, event: Event, subscription: Subscription[Any], capacity: int) -> None:
        self.number: int = number
        self.capacity: int = capacity
        self.event: Event = event
        self.subscription: Subscription[Any] = subscription
        self.scope: anyio.CancelScope = anyio.CancelScope()
        self.may = 0
        """So many events may still be sent."""
        self.changed = anyio.Event()
        self.unsaid = 0
        """Events that can't cross."""
        self._missed = MissedBody()

    def missed(self) -> MissedBody | None:
        """What the subscriber hasn't got, if that is more than it was told."""
        gaps = self.subscription.gaps if isinstance(self.subscription, RemoteSubscription) else 0
        missed = MissedBody(dropped=self.subscription.dropped + self.unsaid, gaps=gaps)
        if missed == self._missed:
            return None
        self._missed = missed
        return missed

    def more(self, events: int) -> None:
        self.may += events
        self.changed.set()
        self.changed = anyio.Event()


class Watched:
    """Of one connection."""

    def __init__(self, connection: Connection, group: TaskGroup, most: int) -> None:
        self._connection = connection
        self._group = group
        self._most = most - EXTRA
        self._lookouts: dict[int, Callable[[], object]] = {}
        self._feeds: dict[int, _Feed] = {}

    def watch(self, number: int, target: Target) -> None:
        """WATCH: tell of each end of an actor."""
        self._check(number, self._lookouts, "watches")

        def told(down: Down, final: bool) -> None:
            body = DownBody(
                kind=down.reason.kind.value, path=down.path, text=down.reason.detail, incarnation=down.incarnation, final=final
            )
            self._connection.put(Frame(Kind.DOWN, number, body=encode_body(body)), urgent=True)

        self._lookouts[number] = target.look_out(told)

    def unwatch(self, number: int) -> None:
        """UNWATCH."""
        leave = self._lookouts.pop(number, None)
        if leave is not None:
            leave()

    def subscribe(self, number: int, target: Target, event: Event, data: bytes) -> None:
        """SUBSCRIBE: pass on what an actor publishes."""
        self._check(number, self._feeds, "subscriptions")
        body = decode_body(SubscribeBody, data)
        try:
            feed = _Feed(number, event, target.subscribe(event, body.capacity, body.overflow), body.capacity)
            feed.subscription._enter()  # not in the task: what the very next call makes the actor publish is told
        except SuperviseError as error:  # of a relay it begins only if the process behind it has such events
            self._ended(number, EndedBody(why=str(error)))
            return
        self._feeds[number] = feed
        self._group.start_soon(self._feed, feed, name="subscription")

    def more(self, number: int, events: int) -> None:
        """MORE."""
        feed = self._feeds.get(number)
        if feed is not None:
            if feed.may + events > 65535:
                raise ProtocolError("credit", "for more events than anybody can want")
            feed.more(events)

    def unsubscribe(self, number: int) -> None:
        """UNSUBSCRIBE."""
        feed = self._feeds.pop(number, None)
        if feed is not None:
            feed.scope.cancel()

    async def _feed(self, feed: _Feed) -> None:
        why, slow = "the actor is gone for good", 0
        with feed.scope:
            try:
                async for event in feed.subscription:
                    while feed.may <= 0:
                        await feed.changed.wait()
                    await self._connection.room()
                    self._send(feed, event)
            except SubscriberTooSlow as error:
                why, slow = str(error), feed.capacity
            except SuperviseError as error:
                why = str(error)
            finally:
                await feed.subscription.aclose()
            if self._feeds.pop(feed.number, None) is not None:
                self._tell_missed(feed)
                self._ended(feed.number, EndedBody(why=why, slow=slow))

    def _ended(self, number: int, body: EndedBody) -> None:
        self._connection.put(Frame(Kind.ENDED, number, body=encode_body(body)), urgent=False)

    def _send(self, feed: _Feed, event: object) -> None:
        try:
            body = feed.event.encode(event, self._most)
        except (CallError, SuperviseError) as error:
            if not feed.unsaid:  # the subscriber is told how many there were
                say(logging.ERROR, "an event can't be told to the other side of a link: %s", error)
            feed.unsaid += 1
            return
        self._tell_missed(feed)
        feed.may -= 1
        self._connection.put(Frame(Kind.EVENT, feed.number, body=body), urgent=False)

    def _tell_missed(self, feed: _Feed) -> None:
        missed = feed.missed()
        if missed is not None:
            self._connection.put(Frame(Kind.MISSED, feed.number, body=encode_body(missed)), urgent=False)

    def _check(self, number: int, among: Sized, what: str) -> None:
        if number in self._lookouts or number in self._feeds:
            raise ProtocolError("id", f"{number} is in use")
        if len(among) >= MOST:
            raise ProtocolError("credit", f"more than {MOST} {what}")

    def close(self) -> None:
        """The connection is over."""
        for leave in self._lookouts.values():
            leave()
        self._lookouts.clear()
        for feed in self._feeds.values():
            feed.scope.cancel()
        self._feeds.clear()
