"""A client of the live protocol: what the terminal, the commands and tests use. It is plain, blocking code, for any thread."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit

from supervise_strategies.suggestion import did_you_mean
from supervise_strategies.text import one_line

from .folder import Found, WrongFolder, folder_of_user, found_in
from .gate import is_loopback
from .head import SCHEMA
from .request import object_of

TIMEOUT: Final = 15.0
"""Seconds for which an answer is waited for."""
TRUSTED: Final = (0,)
"""Whose sockets are taken for a tree's, beside one's own: root could do anything anyway."""
SILENCE: Final = 30.0
"""Seconds after which a stream that says nothing is taken for dead; it says something each 5 s."""
LONGEST_LINE: Final = 64 * 1024 * 1024
"""Bytes of one part of a stream."""


class LiveError(Exception):
    """The tree refuses what was asked, or answers what a `Client` doesn't understand.

    `status` is that of HTTP; 0 if there was no answer. The text is what the tree says.

        >>> print(LiveError("this tree is served for reading alone", 403).status)
        403
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status: int = status


class NoTree(LiveError):
    """There is no such tree here, or nobody answers there.

    `among`: the trees there are, if one has to be named; else it is empty.

        >>> Client("/tmp/no-tree.sock")
        Traceback (most recent call last):
        NoTree: /tmp/no-tree.sock: there is no socket (No such file or directory)
    """

    def __init__(self, text: str, among: tuple[Found, ...] = ()) -> None:
        super().__init__(text)
        self.among: tuple[Found, ...] = among


class Client:
    """Asks one tree that is served: `Client()` is of the only one here.

    It is plain, blocking code, for any thread but that of the tree's loop, where it would wait
    for itself. What its methods return is what the protocol says, as it is, in dicts and lists.

        where: The tree's name, its process id, its socket's path, or the whole address that was
            printed, with `#token=…`. Default: the only tree that is served here.
        timeout: Seconds for which an answer is waited for (default 15).

    Every method connects anew, so a client may be kept for ever. All raise `NoTree` if nobody
    answers, and `LiveError` with what the tree says. `NoTree` is also raised at once, for a
    name that isn't served or isn't the only one.

        >>> import anyio, tempfile
        >>> tree = Supervisor("app", child(list, name="cart"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     async with tree, serve(tree, f"{folder}/app.sock") as served:
        ...         found = await anyio.to_thread.run_sync(Client(served.socket).snapshot)
        >>> [row["path"] for row in found["rows"]]
        ['app', 'app/cart']
    """

    def __init__(self, where: str | os.PathLike[str] | None = None, *, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._following: set[_Connection] = set()
        self._socket: Path | None = None
        self._host, self._token = "localhost", ""
        text = "" if where is None else os.fspath(where)
        if text.startswith(("http://", "https://")):
            self._take_url(text)
        else:
            self._socket = _socket_named(text)
        self.where: str = str(self._socket) if self._socket is not None else f"http://{self._host}"
        """Where it is, for people; without the token."""

    def _take_url(self, url: str) -> None:
        parts = _url(url)
        if parts is None or parts.scheme != "http" or not parts.hostname:
            raise NoTree(f"{url!r} isn't the address of a tree: it begins with http://HOST:PORT")
        self._host = parts.netloc.rpartition("@")[2]
        found = parse_qs(parts.fragment).get("token", [""])
        self._token = found[0] or _known_token(parts.hostname, parts.port)
        if not self._token:
            raise NoTree(f"http://{self._host}: the token is missing: give the whole address that was printed, #token=… too")

    # -- reading -----------------------------------------------------------------------------------------------------

    def snapshot(self, *, under: str = "", top: int | None = None, sort: str = "", by: str = "") -> dict[str, Any]:
        """The whole tree, or a part of it, as it is now.

        What the head and the rows have is told in `examples/guide/live.md`.

            under: The path of a part, from the root on or below it (default: all).
            top: At most so many rows (default, and at most, 5,000).
            sort: tree (default), path, queued, restarts, failed, handled, hand, oldest or worst.
            by: `"type"` for `types`, one for each type of actor, instead of `rows`.
        """
        return self._get("snapshot", under=under, top=top, sort=sort, by=by)

    def actor(self, path: str) -> dict[str, Any]:
        """One actor, pool or supervisor: its row, its policy, its last ends, where it stands."""
        return self._get("actor", path=path)

    def events(self, *, under: str = "", last: int | None = None) -> list[dict[str, Any]]:
        """What happened, oldest first, as far as the tree's flight recorder still knows it.

        `under`: the path of a part (default: all). `last`: how many, from the end (default 100, at
        most 1,000).
        """
        found: list[dict[str, Any]] = self._get("events", under=under, last=last)["events"]
        return found

    def stream(self, *, under: str = "", every: float = 1.0) -> Generator[tuple[str, dict[str, Any]]]:
        """Changes as they come: `("snapshot", …)` first, then `("change", …)`.

        It ends when the tree is served no more. `every`: seconds between two, at least (default 1,
        from 0.25 on).
        """
        return self._follow("stream", under=under, every=every)

    def logs(self, *, under: str = "") -> Generator[tuple[str, dict[str, Any]]]:
        """`("log", …)`, one for each log record that is written from now on."""
        return self._follow("logs", under=under)

    def hang_up(self) -> None:
        """End the streams that are followed, from any thread: each raises `NoTree`, or just ends."""
        for connection in [*self._following]:
            connection.hang_up()

    # -- the operator's hand -----------------------------------------------------------------------------------------

    def act(self, action: str, path: str, *, who: str = "", **change: str) -> str:
        """Restart, stop, start, pause, resume or change something; the answer says what was done.

        `who` is the name of who asks: the event and the log say it. Raises `LiveError` where the
        tree is served for reading alone, and for what it refuses. What takes longer than 30 s goes
        on, and the answer says so.
        """
        body = json.dumps({"path": path, **({"as": who} if who else {}), **change}).encode()
        found = self._ask("POST", f"/live/{action}", body, timeout=max(self._timeout, 60.0))
        return str(found.get("text", ""))

    # -- the wire ----------------------------------------------------------------------------------------------------

    def _get(self, what: str, **query: object) -> dict[str, Any]:
        found = self._ask("GET", _address(what, query))
        if found.get("schema", SCHEMA) != SCHEMA:
            raise LiveError(
                f"{self.where} speaks version {found['schema']} of the protocol, and this is {SCHEMA}: use its own version"
            )
        return found

    def _ask(self, method: str, address: str, body: bytes | None = None, timeout: float | None = None) -> dict[str, Any]:
        connection, response = self._request(method, address, body, timeout or self._timeout)
        try:
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise NoTree(f"{self.where}: the answer broke off ({_why(error)})") from error
        finally:
            connection.close()
        return self._found(response.status, data)

    def _found(self, status: int, data: bytes) -> dict[str, Any]:
        found = object_of(data)
        if found is None:
            raise LiveError(f"{self.where} answers something that isn't the live protocol", status)
        if status >= 400:
            raise LiveError(one_line(str(found.get("error", status)), 1000), status)
        return found

    def _follow(self, what: str, **query: object) -> Generator[tuple[str, dict[str, Any]]]:
        connection, response = self._request("GET", _address(what, query), None, SILENCE)
        self._following.add(connection)
        try:
            if response.status != 200:
                self._found(response.status, response.read())
            kind = ""
            while True:
                line = response.readline(LONGEST_LINE)
                if not line:
                    return
                if line.startswith(b"event: "):
                    kind = line[7:].strip().decode()
                elif line.startswith(b"data: "):
                    yield kind, json.loads(line[6:])
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoTree(f"{self.where}: the stream broke off ({_why(error)})") from error
        finally:
            self._following.discard(connection)
            response.close()
            connection.close()

    def _request(
        self, method: str, address: str, body: bytes | None, timeout: float
    ) -> tuple[_Connection, http.client.HTTPResponse]:
        connection = _Connection(self._host, self._socket, timeout)
        headers = {"content-type": "application/json"} if body is not None else {}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, address, body, headers)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NoTree(f"{self.where}: nobody answers there ({_why(error)})") from error


class _Connection(http.client.HTTPConnection):
    """By a unix socket, where there is one."""

    def __init__(self, host: str, path: Path | None, timeout: float) -> None:
        super().__init__(host, timeout=timeout)
        self._path = path
        self._open: socket.socket | None = None

    def connect(self) -> None:
        if self._path is None:
            super().connect()
            self._open = self.sock
            return
        self._open = self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))

    def hang_up(self) -> None:
        """Whoever reads from it finds its end. (A response keeps the socket open after `sock` is gone.)"""
        if self._open is not None:
            with contextlib.suppress(OSError):
                self._open.shutdown(socket.SHUT_RDWR)


def trees() -> list[Found]:
    """The trees that this user's processes serve on this machine, by name.

    Those of dead processes are removed. Raises `NoTree` where their folder isn't to be trusted,
    see `WrongFolder`.

        >>> async with Supervisor("app") as app, serve(app):
        ...     "app" in [found.name for found in trees()]
        True
    """
    try:
        return found_in(folder_of_user())
    except (WrongFolder, OSError) as error:
        raise NoTree(str(error)) from error


def _socket_named(text: str) -> Path:
    """The socket of the tree that is meant; an empty text is the only one there is."""
    if text and ("/" in text or text.endswith(".sock")):
        return _trusted(Path(text))
    found = trees()
    if not text:
        if len(found) == 1:
            return found[0].socket
        if not found:
            raise NoTree(
                "no tree is served here: supervise run MODULE:TREE --live serves one, or say its socket or its address"
            )
        listed = ", ".join(f"{each.name} (process {each.pid})" for each in found)
        raise NoTree(f"{len(found)} trees are served here, so say which: {listed}", tuple(found))
    named = [each for each in found if text in (each.name, str(each.pid), each.socket.name, each.socket.stem)]
    if len(named) == 1:
        return named[0].socket
    if named:
        pids = ", ".join(str(each.pid) for each in named)
        raise NoTree(f"{text!r} is served by several processes, so say which: {pids}", tuple(named))
    near = did_you_mean(text, [each.name for each in found])
    there = ", ".join(each.name for each in found) or "none"
    raise NoTree(f"no tree {text!r} is served here: {near}there are {there}", tuple(found))


def _trusted(path: Path) -> Path:
    try:
        found = os.lstat(path)
    except OSError as error:
        raise NoTree(f"{path}: there is no socket ({error.strerror})") from error
    if stat.S_ISLNK(found.st_mode) or not stat.S_ISSOCK(found.st_mode):
        raise NoTree(f"{path} is no socket")
    if found.st_uid not in (*TRUSTED, os.getuid()):
        raise NoTree(f"{path} belongs to uid {found.st_uid}, who could be anybody: you are uid {os.getuid()}")
    return path


def _known_token(host: str, port: int | None) -> str:
    """Of a tree of this user's that is served there: a token is for nobody but the tree that made it."""
    for found in trees():
        try:
            url = _url(found.url.read_text(encoding="utf-8").strip())
        except (OSError, ValueError):
            continue
        if url is not None and port is not None and url.port == port and (is_loopback(host) or host == url.hostname):
            return parse_qs(url.fragment).get("token", [""])[0]
    return ""


def _url(text: str) -> SplitResult | None:
    """None: it isn't one."""
    try:
        found = urlsplit(text)
        return found if found.port is None or found.port > 0 else None
    except ValueError:
        return None


def _address(what: str, query: dict[str, object]) -> str:
    given = {key: value for key, value in query.items() if value not in ("", None)}
    return f"/live/{what}" + (f"?{urlencode(given)}" if given else "")


def _why(error: BaseException) -> str:
    return one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__, 200)
