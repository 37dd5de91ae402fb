"""When a process is ready: what `ready=` may be, and how it is waited for."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, cast

import anyio
from anyio.abc import SocketAttribute

from supervise.mailbox.handler import awaitable
from supervise.message import name_of
from supervise_strategies.errors import InvalidSpec

from .port_owner import Owner

Ready: TypeAlias = "str | re.Pattern[str] | int | tuple[str, int] | Callable[[], object] | Callable[[], Awaitable[object]]"
Ask: TypeAlias = Callable[[str, int], Awaitable[Owner]]

TRY_AGAIN: Final = 0.05  # seconds between two looks at a port, or two calls, while it isn't ready
CONNECTED_WITHIN: Final = 1.0  # seconds, for one look
SURE: Final = 2  # looks in a row that find a stranger: one may miss a process that was forked meanwhile
_CURE: Final = (
    "free the port, or, if somebody else listens on its behalf, as `docker run -p` does, "
    'wait for what it says: ready="text", or a compiled pattern'
)


class PortTaken(Exception):
    """Somebody else listens on the port that `ready=` names.

    So an open port says nothing about the process, and its start fails. The text has the cure.

        >>> import socket
        >>> with socket.create_server(("127.0.0.1", 0)) as somebody:
        ...     port = somebody.getsockname()[1]
        ...     async with Supervisor("app") as app:
        ...         await app.start(process(["redis-server"], ready=port), name="redis")
        Traceback (most recent call last):
        ChildStartFailed: child 'redis' didn't start: PortTaken: redis-server wasn't started: ...
    """


def check_ready(who: str, ready: object) -> None:
    """Raises `InvalidSpec` for what nobody can wait for."""
    if not _is_ready(ready):
        cure = "a text or pattern in a line of its output, a TCP port, (host, port), a function to be called, or None"
        raise InvalidSpec(who, "ready", ready, cure)


def _is_ready(given: Any) -> bool:
    if isinstance(given, tuple):
        where = cast("tuple[object, ...]", given)
        return len(where) == 2 and isinstance(where[0], str) and _is_port(where[1])
    if isinstance(given, str):
        return given != ""
    return given is None or isinstance(given, re.Pattern) or callable(given) or _is_port(given)


def _is_port(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and 0 < given < 65536


def pattern_of(ready: Any) -> re.Pattern[str] | None:
    """What is looked for in each line, if it is that."""
    if isinstance(ready, str):
        return re.compile(re.escape(ready))
    return cast("re.Pattern[str]", ready) if isinstance(ready, re.Pattern) else None


def port_of(ready: Any) -> tuple[str, int] | None:
    """Host and port, if it is that."""
    if isinstance(ready, tuple):
        return cast("tuple[str, int]", ready)
    return ("127.0.0.1", ready) if isinstance(ready, int) else None


def describe_missing(ready: Any) -> str:
    """What didn't come."""
    if isinstance(ready, str | re.Pattern):
        return f"no line of its output had {ready!r}"
    port = port_of(ready)
    return f"nobody listens on port {port[1]}" if port is not None else f"{name_of(ready)} didn't say yes"


async def check_free(program: str, host: str, port: int) -> None:
    """Before the start: nobody listens there. Raises `PortTaken`."""
    if await _connected(host, port) is not None:
        raise PortTaken(f"{program} wasn't started: somebody listens on port {port} of {host} already; {_CURE}")


async def until_it_listens(program: str, host: str, port: int, ask: Ask) -> None:
    """Wait until somebody takes connections there who isn't known to be a stranger. Raises `PortTaken` if he is."""
    strangers = 0
    while True:
        address = await _connected(host, port)
        if address is None:
            strangers = 0
        elif await ask(address, port) is not Owner.FOREIGN:
            return
        else:
            strangers += 1
            if strangers == SURE:
                raise PortTaken(f"{program} isn't ready: somebody else listens on port {port} of {host}; {_CURE}")
        await anyio.sleep(TRY_AGAIN)


async def until_it_says_yes(ready: Callable[[], Any]) -> None:
    """Call it until the answer is a true one."""
    while True:
        try:
            answer = ready()
            if awaitable(answer):
                answer = await answer
        except OSError:  # nobody listens yet
            answer = False
        if answer:
            return
        await anyio.sleep(TRY_AGAIN)


async def _connected(host: str, port: int) -> str | None:
    """The address that took a connection; None if there is none."""
    try:
        with anyio.move_on_after(CONNECTED_WITHIN):
            async with await anyio.connect_tcp(host, port) as stream:
                there = stream.extra(SocketAttribute.remote_address)
                here = stream.extra(SocketAttribute.local_address)
                # A socket that connects to a port of those that are handed out can get that very one, and meet itself.
                return None if there == here else str(there[0])
    except OSError:
        pass
    return None
