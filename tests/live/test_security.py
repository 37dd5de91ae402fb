"""Who may ask for what, line by line, and what a server bears: from foreign hosts to ten thousand connections.

Each is tried over real sockets against a tree that goes on with its own work, and answers its own messages afterwards.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from supervise import DynamicSupervisor, RunningSupervisor, Supervisor, child
from supervise.live import CantServe, Client, LiveError, NoTree, Served, WrongFolder, serve
from supervise.live import gate as gates
from supervise.live import server as servers
from tests.real_clock import on_both

from .asked import Answer, ask, connected, following, request, said

pytestmark = [pytest.mark.anyio, on_both]


class Echo:
    async def echo(self, text: str) -> str:
        return text


class Page:
    """A tree that is served over HTTP, too."""

    def __init__(self, app: RunningSupervisor, served: Served) -> None:
        assert served.url is not None
        self.app = app
        self.served = served
        self.url: str = served.url
        parts = urlsplit(self.url)
        assert parts.port is not None
        self.port: int = parts.port
        self.token: str = parts.fragment.removeprefix("token=")

    async def get(self, address: str = "/live/snapshot", host: str = "", **headers: str) -> Answer:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await ask(request, self.port, "GET", address, given, host=host)

    async def post(self, said: bytes = b'{"path": "echo"}', /, **headers: str) -> Answer:
        given = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await ask(request, self.port, "POST", "/live/restart", given, said)

    @property
    def bearer(self) -> str:
        return f"Bearer {self.token}"


@asynccontextmanager
async def page(*, operate: bool = True) -> AsyncGenerator[Page]:
    async with Supervisor("app", child(Echo, name="echo")) as app, serve(app, "127.0.0.1:0", operate=operate) as served:
        yield Page(app, served)
        assert await app.find("echo").call(Echo.echo, "well") == "well"
        info = app.get_childspec("echo")
        assert info.alive


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "", "localhost.", "[::2]", "[::1]evil.example"]
)
async def test_a_foreign_host_is_refused(host: str) -> None:
    async with page() as at:
        answer = await at.get("/", host=host.format(port=at.port) or " ")
        assert (answer.status, b"token" in answer.body) == (403, False)
        assert (await at.get(authorization=at.bearer, host=host or " ")).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:9", "127.0.0.1:8080", "[::1]:8080"])
async def test_a_name_of_ours_is_served_at_any_port_as_behind_a_port_forward(host: str) -> None:
    async with page() as at:
        assert (await at.get(authorization=at.bearer, host=host)).status == 200


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic {token}", "Bearer {token}x", "{token}", "Bearer ü"]
)
async def test_without_the_right_token_there_is_no_data(given: str) -> None:
    async with page() as at:
        headers = {"authorization": given.format(token=at.token)} if given else {}
        for address in ("/live/snapshot", "/live/actor?path=echo", "/live/events", "/live/stream", "/live/logs", "/nothing"):
            answer = await at.get(address, **headers)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert b"echo" not in answer.body
        assert (await at.post(**headers)).status == 401
        assert (await at.get(f"/live/snapshot?token={at.token}")).status == 401  # an address is written to logs


async def test_the_page_needs_no_token_and_holds_no_data() -> None:
    async with page() as at:
        answer = await at.get("/")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert at.token.encode() not in answer.body
        assert b"echo" not in answer.body


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:{port}"},
        {"origin": "http://127.0.0.1:1"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
async def test_another_page_may_not_ask_nor_act(headers: dict[str, str]) -> None:
    async with page() as at:
        given = {name: value.format(port=at.port) for name, value in headers.items()}
        assert (await at.post(authorization=at.bearer, **given)).status == 403
        assert (await at.get(authorization=at.bearer, **given)).status == 403
        assert at.app.get_childspec("echo").incarnation == 1


async def test_its_own_page_may_act_and_a_form_may_not() -> None:
    async with page() as at:
        own = {"origin": f"http://127.0.0.1:{at.port}", "sec_fetch_site": "same-origin"}
        assert (await at.post(authorization=at.bearer, content_type="text/plain", **own)).status == 415
        assert at.app.get_childspec("echo").incarnation == 1
        answer = await at.post(authorization=at.bearer, **own)
        assert (answer.status, answer.json) == (200, {"done": True, "text": "echo is restarted"})
        assert not {name for name in answer.headers if name.startswith("access-control")}
        assert at.app.get_childspec("echo").incarnation == 2


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "TRACE", "CONNECT"])
async def test_other_methods_are_refused(method: str) -> None:
    async with page() as at:
        answer = await ask(request, at.port, method, "/live/snapshot", {"authorization": at.bearer})
        assert answer.status == 405
        assert not {name for name in answer.headers if name.startswith("access-control")}


async def test_nobody_acts_without_operate_not_even_by_the_socket() -> None:
    async with page(operate=False) as at:
        assert (await at.post(authorization=at.bearer)).status == 403
        with pytest.raises(LiveError, match="without --operate"):
            await ask(Client(at.served.socket).act, "restart", "echo")
        assert (await at.get("/live/restart", authorization=at.bearer)).status == 405
        assert at.app.get_childspec("echo").incarnation == 1


@pytest.mark.parametrize(
    "address",
    ["/../etc/passwd", "/live/../../etc/passwd", "/live/%2e%2e/%2e%2e/etc/passwd", "/page.js", "/live/actor/../..", "//etc"],
)
async def test_a_path_that_leads_out_finds_nothing(address: str) -> None:
    async with page() as at:
        answer = await at.get(address, authorization=at.bearer)
        assert answer.status == 404
        assert b"root:" not in answer.body


@pytest.mark.parametrize("path", ["../echo", "..", "app/../app/echo", "echo/../echo", "%2e%2e", "\x00", "é"])
async def test_a_path_in_the_tree_that_leads_out_finds_nothing(path: str) -> None:
    async with page() as at:
        with pytest.raises(LiveError) as refused:
            await ask(Client(at.url).actor, path)
        assert refused.value.status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b'{"path": ""}', 400),
        (b'{"path": 1}', 400),
        (b'{"path": "echo", "more": 1}', 400),
        (b'{"path": "' + b"x" * 2000 + b'"}', 400),
        (b"[" * 10_000, 400),
        (b'{"path": "' + b"x" * 20_000 + b'"}', 413),
        (b'{"path": "nobody"}', 404),
        (b'{"path": "app"}', 409),
    ],
)
async def test_an_action_that_says_nonsense_is_refused(body: bytes, status: int) -> None:
    async with page() as at:
        assert (await at.post(body, authorization=at.bearer)).status == status
        assert at.app.get_childspec("echo").incarnation == 1


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\nHost: b\r\n\r\n", 400),
        (b"GET http://evil.example/ HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        (b"GET /%ff HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        (b"GET /?" + b"&".join(b"a=%d" % n for n in range(100)) + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n", 411),
    ],
)
async def test_what_isnt_http_is_refused(data: bytes, status: int) -> None:
    async with page() as at:
        assert (await ask(said, at.port, data)).status == status


async def test_a_megabyte_of_headers_is_refused_before_it_is_read() -> None:
    async with page() as at:
        for data in (b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 1_000_000, b"GET /" + b"a" * 1_000_000):
            status = await ask(_status_of_a_flood, at.port, data)
            assert status in (431, 0)  # 0: it was cut off while it still sent


def _status_of_a_flood(port: int, data: bytes) -> int:
    with connected(port) as connection:
        try:
            connection.sendall(data)
            return int((connection.recv(4096) or b"x 0").split()[1])
        except OSError:
            return 0


async def test_ten_thousand_connections_are_bounded_and_the_socket_still_answers() -> None:
    async with page() as at:
        await ask(_flood, at.port, at.served.socket)
        assert await ask(_once_it_answers, Client(at.url))


def _once_it_answers(client: Client) -> bool:
    """As soon as it has noticed that the others have left."""
    while True:
        with contextlib.suppress(NoTree):
            return bool(client.snapshot()["tree"]["ready"])


def _flood(port: int, path: Path) -> None:
    """As many as this process may have at a time, over and over; meanwhile the unix socket has places of its own."""
    with ExitStack() as held:
        for _ in range(servers.CONNECTIONS):
            held.enter_context(connected(port))
        for _ in range(10_000):
            with connected(port) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        assert Client(path).snapshot()["tree"]["ready"]


async def test_who_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "PATIENCE", 0.05)
    async with page() as at:
        assert (await ask(said, at.port, b"GET / HTTP/1.1\r\n")).status == 0


async def test_who_doesnt_read_a_stream_is_cut_off_and_others_arent_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "SLOWNESS", 0.2)
    async with DynamicSupervisor("app") as app:
        for number in range(3000):
            await app.start(Echo, name=f"{'x' * 300}-{number}")
        async with serve(app) as served:
            client = Client(served.socket)
            await ask(_never_reads, served.socket)
            assert len((await ask(client.snapshot))["rows"]) == 3001


def _never_reads(path: Path) -> None:
    """Asks for streams of a megabyte each, reads nothing, and waits until all of them were cut."""
    with ExitStack() as held:
        deaf = [held.enter_context(connected(path)) for _ in range(8)]
        for connection in deaf:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"GET /live/stream?every=0.25 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        while True:  # as long as they are watched, there is no place for another
            with connected(path) as again:
                again.sendall(b"GET /live/stream HTTP/1.1\r\nhost: localhost\r\n\r\n")
                if again.recv(12).endswith(b"200"):
                    return


async def test_at_most_eight_watch() -> None:
    async with page() as at:
        client = Client(at.served.socket)
        streams = [client.stream() for _ in range(8)]
        for stream in streams:
            await following(stream)
        with pytest.raises(LiveError, match="as many look as can") as refused:
            await following(client.stream())
        assert refused.value.status == 429
        for stream in streams:
            await ask(stream.close)


# -- the folder, and what lies in it ---------------------------------------------------------------------------------------


async def test_the_folder_the_socket_and_the_token_are_for_their_user_alone(runtime: Path) -> None:
    async with page() as at:
        folder = runtime / "supervise"
        modes = {path.name.rpartition(".")[2]: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.iterdir())}
        assert modes == {"supervise": 0o700, "sock": 0o600, "url": 0o600}
        assert (folder / f"app-{os.getpid()}.url").read_text() == at.url
        assert at.token not in str(at.served.socket)
    assert list(folder.iterdir()) == []


async def test_the_client_finds_the_token_of_its_own_users_tree() -> None:
    async with page() as at:
        assert (await ask((await ask(Client, f"http://localhost:{at.port}")).snapshot))["tree"]["name"] == "app"
        with pytest.raises(NoTree, match="the token is missing"):
            await ask(Client, "http://localhost:1")


@pytest.mark.parametrize("how", ["link", "file", "open", "foreign"])
async def test_a_folder_that_isnt_to_be_trusted_serves_nobody(how: str, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = runtime / "supervise"
    if how == "link":
        (runtime / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(runtime / "elsewhere")
    elif how == "file":
        folder.touch()
    else:
        folder.mkdir(mode=0o700)
        if how == "open":
            folder.chmod(0o770)
        else:
            mine = os.getuid()
            monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    async with Supervisor("app") as app:
        with pytest.raises(WrongFolder, match=str(folder)):
            async with serve(app):
                pass
        with pytest.raises(NoTree, match=str(folder)):
            await ask(Client)
        assert app.running


async def test_a_folder_that_is_replaced_while_it_is_served_is_noticed_by_clients(runtime: Path) -> None:
    async with page() as at:
        folder = at.served.socket.parent
        folder.rename(runtime / "moved")
        (runtime / "theirs").mkdir(mode=0o755)
        folder.symlink_to(runtime / "theirs")
        with pytest.raises(NoTree, match="is a link"):
            await ask(Client)


async def test_another_users_socket_is_refused_at_both_ends(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with page() as at:
        mine, path = os.getuid(), at.served.socket
        monkeypatch.setattr(os, "getuid", lambda: mine + 1)
        monkeypatch.setattr(gates, "ROOT", -1)
        answer = await ask(request, path, "GET", "/live/snapshot")
        assert (answer.status, b"rows" in answer.body) == (403, False)
    monkeypatch.undo()
    strange = runtime / "strange.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(strange))
        monkeypatch.setattr("supervise.live.client.TRUSTED", ())
        monkeypatch.setattr(os, "getuid", lambda: os.stat(strange).st_uid + 1)
        with pytest.raises(NoTree, match="belongs to uid"):
            await ask(Client, strange)


async def test_a_stale_socket_of_a_dead_process_is_removed_and_a_living_ones_stays(runtime: Path) -> None:
    folder = runtime / "supervise"
    folder.mkdir(mode=0o700)
    dead, other = folder / "old-4194305.sock", folder / f"other-{os.getpid()}.sock"  # no process has so large an id
    for path in (dead, other):
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    (folder / "old-4194305.url").touch()
    async with page() as at:
        assert {path.name for path in folder.iterdir()} == {other.name, at.served.socket.name, f"app-{os.getpid()}.url"}
        async with serve(at.app) as second:
            assert second.socket.name == f"app-{os.getpid()}.2.sock"
            with pytest.raises(NoTree, match="3 trees are served here, so say which"):
                await ask(Client)


async def test_a_place_that_cant_be_had_is_said_with_the_cure(runtime: Path) -> None:
    async with page() as at:
        app: Any = at.app
        with pytest.raises(CantServe, match=f"127.0.0.1:{at.port}: can't listen there .*: choose another port"):
            async with serve(app, f"127.0.0.1:{at.port}"):
                pass
        for where in (runtime / "nowhere" / "a.sock", runtime / ("x" * 120), at.served.socket):
            with pytest.raises(CantServe, match="a socket can't be made there"):
                async with serve(app, where):
                    pass
        named = runtime / "a.sock"
        async with serve(app, named):
            assert (await ask((await ask(Client, named)).snapshot))["tree"]["name"] == "app"
        assert not named.exists()


async def test_a_socket_that_somebody_has_put_in_place_of_ours_stays(runtime: Path) -> None:
    path = runtime / "a.sock"
    async with Supervisor("app") as app:
        async with serve(app, path):
            path.unlink()
            path.touch()
        assert path.exists()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python warns of threads, of which the server is one
async def test_a_process_that_is_forked_off_holds_no_client_and_removes_nothing(runtime: Path) -> None:
    async with page() as at:
        frames = Client(at.served.socket).stream()
        await following(frames)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:  # it lives until this test closes the pipe
            os.close(write)
            os.read(read, 1)
            os._exit(0)
        os.close(read)
    try:
        with pytest.raises((StopIteration, RuntimeError, NoTree)):  # the end of the server is seen, whoever was forked off
            while True:
                await following(frames)
        with pytest.raises((StopIteration, NoTree)):
            await ask(Client(at.url).snapshot)
    finally:
        os.close(write)
        await ask(os.waitpid, child, 0)


async def test_who_is_served_beyond_this_machine_may_be_called_by_number_and_not_by_name() -> None:
    async with Supervisor("app") as app, serve(app, "0.0.0.0:0") as served:
        assert served.beyond
        assert served.url is not None
        port, token = urlsplit(served.url).port, urlsplit(served.url).fragment.removeprefix("token=")
        assert port is not None
        headers = {"authorization": f"Bearer {token}"}
        for host, status in (("10.1.2.3:80", 200), ("[fe80::1]:80", 200), ("evil.example", 403)):
            assert (await ask(request, port, "GET", "/live/snapshot", headers, host=host)).status == status


async def test_a_part_of_a_tree_is_served_by_its_own_paths() -> None:
    tree = Supervisor("app", Supervisor("below", child(Echo, name="a")))
    async with tree as app, serve(app.supervisor("below"), operate=True) as served:
        client = Client(served.socket)
        assert [row["path"] for row in (await ask(client.snapshot))["rows"]] == ["app/below", "app/below/a"]
        assert (await ask(client.actor, "app/below/a"))["row"]["path"] == "app/below/a"
        assert await ask(client.act, "restart", "app/below/a") == "app/below/a is restarted"
        assert await ask(client.act, "restart", "a") == "a is restarted"
