"""What of the own actors the other side of a connection looks at: it is told of their ends, and of what they publish."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import anyio

from supervise.errors import CallError, ProtocolError, SubscriberTooSlow, SuperviseError
from supervise.log import say
from supervise.mailbox.observers import Down, Lookout, look_out, subscribe
from supervise.wire.bodies import DownBody, EndedBody, SubscribeBody, decode_body, encode_body
from supervise.wire.frames import EXTRA, Frame
from supervise.wire.kinds import Kind

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.subscription import Subscription
    from supervise.wire.codec import Event

    from .connection import Connection

MOST: Final = 1000
"""Watches and subscriptions of one connection."""


class _Feed:
    """One subscription of the other side."""

    def __init__(self, number: int, event: Event, subscription: Subscription[Any]) -> None:
        self.number: int = number
        self.event: Event = event
        self.subscription: Subscription[Any] = subscription
        self.scope: anyio.CancelScope = anyio.CancelScope()
        self.may = 0
        """So many events may still be sent."""
        self.changed = anyio.Event()

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
        self._lookouts: dict[int, Lookout] = {}
        self._feeds: dict[int, _Feed] = {}

    def watch(self, number: int, mailbox: Mailbox | None) -> None:
        """WATCH: tell of each end of an actor; None: it is none, and can't be looked at from here."""
        self._check(number)
        if mailbox is None:
            body = DownBody(kind="unreachable", text="a relay passes on calls and sends alone", final=True)
            self._connection.put(Frame(Kind.DOWN, number, body=encode_body(body)), urgent=True)
            return

        def told(down: Down, final: bool) -> None:
            body = DownBody(
                kind=down.reason.kind.value, path=down.path, text=down.reason.detail, incarnation=down.incarnation, final=final
            )
            self._connection.put(Frame(Kind.DOWN, number, body=encode_body(body)), urgent=True)

        self._lookouts[number] = look_out(mailbox, told)

    def unwatch(self, number: int) -> None:
        """UNWATCH."""
        lookout = self._lookouts.pop(number, None)
        if lookout is not None:
            lookout.leave()

    def subscribe(self, number: int, mailbox: Mailbox | None, event: Event, data: bytes) -> None:
        """SUBSCRIBE: pass on what an actor publishes."""
        self._check(number)
        if mailbox is None:
            ended = EndedBody(why="a relay passes on calls and sends alone")
            self._connection.put(Frame(Kind.ENDED, number, body=encode_body(ended)), urgent=True)
            return
        body = decode_body(SubscribeBody, data)
        kind: type[Any] = event.kind
        feed = _Feed(number, event, subscribe(mailbox, kind, body.capacity, body.overflow))
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
        why = "the actor is gone for good"
        with feed.scope:
            try:
                async with feed.subscription as events:
                    async for event in events:
                        while feed.may <= 0:
                            await feed.changed.wait()
                        await self._connection.room()
                        self._send(feed, event)
            except SubscriberTooSlow as error:
                why = str(error)
            if self._feeds.pop(feed.number, None) is not None:
                self._connection.put(Frame(Kind.ENDED, feed.number, body=encode_body(EndedBody(why=why))), urgent=False)

    def _send(self, feed: _Feed, event: object) -> None:
        try:
            body = feed.event.encode(event, self._most)
        except (CallError, SuperviseError) as error:
            say(logging.ERROR, "an event can't be told to the other side of a link: %s", error)
            return
        feed.may -= 1
        self._connection.put(Frame(Kind.EVENT, feed.number, body=body), urgent=False)

    def _check(self, number: int) -> None:
        if number in self._lookouts or number in self._feeds:
            raise ProtocolError("id", f"{number} is in use")
        if len(self._lookouts) + len(self._feeds) >= MOST:
            raise ProtocolError("credit", f"more than {MOST} watches and subscriptions")

    def close(self) -> None:
        """The connection is over."""
        for lookout in self._lookouts.values():
            lookout.leave()
        self._lookouts.clear()
        for feed in self._feeds.values():
            feed.scope.cancel()
        self._feeds.clear()
