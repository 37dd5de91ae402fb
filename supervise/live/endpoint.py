"""The protocol: what is asked by which address, and what is answered.

| request | answer |
|---|---|
| `GET /live/snapshot?under=&top=&sort=&by=type` | the head, and `rows` (or `types`), all at once |
| `GET /live/actor?path=` | one actor: its row, its policy, its last ends, where it stands |
| `GET /live/events?under=&last=` | what the flight recorder still knows, oldest first |
| `GET /live/stream?under=&every=` | server-sent events: `snapshot` first, then `change` |
| `GET /live/logs?under=` | server-sent events: `log`, one record each |
| `POST /live/restart` … | an action; the body is `{"path": …, "as": …}` |
| `GET /` | the page |

What it is made of is told field by field in the guide. A refusal is `{"error": text}` with its status: 400, 401, 403, 404, 405,
409 (the tree refuses), 411, 413, 415, 429 (too many watch, look or act), 431, 503 (the loop is blocked, or no tree runs).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, Final

from supervise.frame import in_place
from supervise_strategies.errors import ChildNotFound, InvalidSpec, StrategyError
from supervise_strategies.text import said

from .board import Seen, encoded, plain
from .deed import Deed, deed_of, do, relative
from .detail import Explanations, detail
from .feed import Feed, Feeds, NotRunning, TooManyWatchers
from .head import SCHEMA, Head
from .history import Past, ends_of, facts_of, past_of
from .lookout import Lookout, LoopBlocked, LoopGone
from .page import page
from .request import Refused, Request, answer
from .row import Row

if TYPE_CHECKING:
    from supervise.tree.running import RunningSupervisor

    from .gate import Gate, Peer
    from .hand import Hand
    from .log_feed import LogFeed
    from .tally import Tallies

BEGINS_WITHIN: Final = 5.0
"""Seconds for which an action waits for the loop; then it is withdrawn."""
ANSWERED_WITHIN: Final = 30.0
"""Seconds for which its end is waited for; then it goes on, and the answer is 202."""
FASTEST: Final = 0.25
"""Seconds between two frames of a stream, at least."""
SLOWEST: Final = 3600.0
QUIET: Final = 5.0
"""Seconds after which a stream says that nothing has changed."""
MOST_ROWS: Final = 5000
SORTS: Final[dict[str, Callable[[Seen], Any]]] = {
    "tree": lambda seen: 0,
    "path": lambda seen: seen.row.path,
    "queued": lambda seen: -seen.row.queued,
    "restarts": lambda seen: -seen.row.restarts,
    "failed": lambda seen: -seen.row.failed,
    "handled": lambda seen: -seen.row.handled,
    "hand": lambda seen: (seen.row.hand_since is None, seen.row.hand_since),
    "oldest": lambda seen: (seen.row.oldest_since is None, seen.row.oldest_since),
    "worst": lambda seen: tuple(-part for part in seen.row.badness()),
}


class Endpoint:
    """Of one tree."""

    def __init__(self, lookout: Lookout, gate: Gate, hand: Hand, logs: LogFeed, tallies: Tallies) -> None:
        self._lookout = lookout
        self._gate = gate
        self._hand = hand
        self.logs: LogFeed = logs
        self._tallies = tallies
        self._explanations = Explanations()
        self.feeds: Feeds = Feeds(lookout)
        self._head = Head(lookout, gate.operate)

    async def answer(self, request: Request, peer: Peer) -> bytes | AsyncGenerator[bytes]:
        """A whole response, or the body of a stream. Raises `Refused` for what isn't done."""
        self._gate.check(request, peer)
        try:
            found = await self._route(request, peer)
            return found if isinstance(found, bytes) else await _begun(found)
        except (NotRunning, LoopGone):
            raise Refused(503, f"{self._lookout.name} isn't running") from None
        except LoopBlocked:
            withdrawn = "; what you asked for is withdrawn, and won't be done" if request.method == "POST" else ""
            raise Refused(503, f"{self._blocked_text()}{withdrawn}") from None
        except TooManyWatchers:
            raise Refused(429, "as many look as can: end one of them, or wait a little") from None
        except ChildNotFound as error:
            raise Refused(404, said(error)) from None
        except StrategyError as error:
            raise Refused(409, said(error)) from None

    def _blocked_text(self) -> str:
        """Why the loop doesn't answer, as far as it is known."""
        blocked = self._lookout.blocked()
        if blocked is None:
            return f"{self._lookout.name} didn't answer in time, and answers again: ask once more"
        where = in_place(blocked.stack)
        handler = f" ({blocked.message})" if blocked.message else ""
        return f"the event loop is blocked for {blocked.seconds:.1f} s by {blocked.path}{handler}{where}"

    async def _route(self, request: Request, peer: Peer) -> bytes | AsyncGenerator[bytes]:
        path = request.path
        if path.startswith("/live/") and request.method == "POST":
            return await self._act(path.removeprefix("/live/"), request, peer)
        if request.method != "GET" and not (path == "/" and request.method == "HEAD"):
            raise Refused(405, f"{request.method} isn't for this", ("allow", "GET, POST"))
        query = request.query
        match path:
            case "/":
                return page(request.method)
            case "/live/snapshot":
                return answer(200, await self._snapshot(query))
            case "/live/actor":
                return answer(200, plain(await self._actor(query.get("path", ""))))
            case "/live/events":
                return answer(200, plain(await self._events(query)))
            case "/live/stream":
                return self._stream(self._under(query), _seconds(query.get("every", "1")))
            case "/live/logs":
                return self.logs.stream(self._full(query))
            case _:
                if path.removeprefix("/live/") in ("restart", "stop", "start", "pause", "resume", "change"):
                    raise Refused(405, "an action is a POST", ("allow", "POST"))
                raise Refused(404, "there are /live/snapshot, /live/actor, /live/events, /live/stream and /live/logs")

    # -- what is told ------------------------------------------------------------------------------------------------

    def _under(self, query: dict[str, str]) -> str:
        """The path that is asked for, relative to the root."""
        app = self._lookout.app
        return "" if app is None else relative(app, query.get("under", ""))

    def _full(self, query: dict[str, str]) -> str:
        """The same from the root on, empty for all of it."""
        under = self._under(query)
        return f"{self._lookout.name}/{under}" if under else ""

    async def _snapshot(self, query: dict[str, str]) -> bytes:
        under, sort = self._under(query), query.get("sort", "tree")
        if sort not in SORTS:
            raise Refused(400, f"rows are sorted by {', '.join(SORTS)}")
        top = _number("top", query.get("top", str(MOST_ROWS)), MOST_ROWS)
        feed = self.feeds.of(under)
        try:
            await feed.renew()
        except (LoopBlocked, LoopGone, NotRunning):  # the head says so, and the rows are the last that were seen
            pass
        except InvalidSpec:
            raise Refused(400, f"under={under!r} is an actor: /live/actor tells of it") from None
        head = plain(self._head.of(feed))
        if query.get("by") == "type":
            sums = [] if feed.board.survey is None else [sums.as_dict() for sums in feed.board.survey.sums.values()]
            sums.sort(key=lambda each: -each["actors"])
            return head[:-1] + b',"types":' + plain(sums[:top]) + b"}"
        rows = feed.board.all()
        if sort != "tree":
            rows.sort(key=SORTS[sort])
        return head[:-1] + b',"rows":' + await encoded(rows[:top]) + b"}"

    async def _actor(self, path: str) -> dict[str, Any]:
        def look() -> tuple[dict[str, Any], float, Past, str]:
            app = self._app()
            inside = relative(app, path)
            full = f"{app.path}/{inside}" if inside else app.path
            now, past = app._branch.tree.backend.now(), past_of(app._branch)
            return detail(app, inside, self._tallies, self._explanations), now, past, full

        found, at, past, full = await self._lookout.ask(look)
        seen = self.feeds.seen(full)
        if seen is not None:  # what only repeated looks can tell
            found["row"] = Seen(Row(**found["row"]), seen.seq, at, seen).row.as_dict()
        return {"schema": SCHEMA, "at": round(at, 4), "operate": self._gate.operate, **found, "ends": ends_of(past, full)}

    async def _events(self, query: dict[str, str]) -> dict[str, Any]:
        last, under = _number("last", query.get("last", "100"), 1000), self._full(query)
        past = await self._lookout.ask(lambda: past_of(self._app()._branch))
        return {"schema": SCHEMA, "events": facts_of(past, under, last)}

    def _app(self) -> RunningSupervisor:
        app = self._lookout.app
        if app is None:
            raise NotRunning(self._lookout.name)
        return app

    async def _stream(self, under: str, every: float) -> AsyncGenerator[bytes]:
        async with self.feeds.watching(under, every) as feed:
            with contextlib.suppress(LoopBlocked, LoopGone, NotRunning):
                await self.feeds.listen()  # first, so that nothing happens unheard after what is told first
                await feed.renew()
            events = self.feeds.events
            number, seq, board = events.last, feed.board.seq, feed.board
            yield await self._whole(feed)
            while await self.feeds.rung(QUIET):
                with feed.telling():
                    changes = board.since(seq)
                    seq = board.seq
                    happened, missed, number = events.since(number, self._full({"under": under}))
                    head = self._head.of(feed)
                    whole = b"" if changes is not None else await self._whole(feed)
                    changed, gone = changes or ((), ())
                    rows = await encoded(changed)
                    more = plain({"gone": gone, "events": happened, "missed": missed})
                if whole:
                    yield whole
                yield frame("change", plain(head)[:-1] + b',"rows":' + rows + b"," + more[1:])

    async def _whole(self, feed: Feed) -> bytes:
        """All of it, as a frame."""
        head = plain(self._head.of(feed))
        return frame("snapshot", head[:-1] + b',"rows":' + await encoded(feed.board.all()) + b"}")

    # -- what is done ------------------------------------------------------------------------------------------------

    async def _act(self, name: str, request: Request, peer: Peer) -> bytes:
        wish = request.json()
        deed = deed_of(name, wish)
        given = wish.get("as", "")
        who = peer.who(given if isinstance(given, str) else "")
        done = await self._lookout.ask(lambda: self._hand.begin(self._work(deed, who)), BEGINS_WITHIN)
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                text = await done.wait()
        except TimeoutError:
            return answer(202, plain({"done": False, "text": f"{deed.in_words} is under way, and goes on"}))
        return answer(200, plain({"done": True, "text": text}))

    def _work(self, deed: Deed, who: str) -> Callable[[], Any]:
        async def work() -> str:
            return await do(deed, self._app(), who)

        return work


async def _begun(stream: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """A stream that has told its first part: what is refused is refused before that."""
    first = await anext(stream)

    async def whole() -> AsyncGenerator[bytes]:
        async with contextlib.aclosing(stream):
            yield first
            async for part in stream:
                yield part

    return whole()


def frame(kind: str, data: bytes) -> bytes:
    """One server-sent event."""
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def _number(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) > 0):
        raise Refused(400, f"{name} is a number, 1 or more")
    return min(int(text), most)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not FASTEST <= seconds <= SLOWEST:
        raise Refused(400, f"every is seconds, from {FASTEST:g} to {SLOWEST:g}")
    return seconds
