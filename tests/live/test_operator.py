"""What an operator does from outside, over the socket and over HTTP: each is done, and is an event with who asked.

Tested: all actions; the events and their names; refusals of the tree with their texts; what is withdrawn, as the loop is
blocked, is never done; many actions at once; an action that outlasts the server.
"""

from __future__ import annotations

import math
import os
import pwd
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from threading import Thread

import anyio
import anyio.lowlevel
import pytest

from supervise import DynamicSupervisor, RunningSupervisor, Supervisor, child
from supervise.events import Asked, Event
from supervise.live import Client, LiveError, serve
from supervise.live import endpoint as endpoints
from tests.real_clock import on_both

from .asked import Gate, ask

pytestmark = [pytest.mark.anyio, on_both]
ME = f"{pwd.getpwuid(os.getuid()).pw_name} (uid {os.getuid()})"


class Echo:
    async def echo(self, text: str) -> str:
        return text

    async def block(self, gate: Gate) -> None:
        gate.block()


class Served:
    def __init__(self, app: RunningSupervisor, socket: Client, http: Client) -> None:
        self.app, self.socket, self.http = app, socket, http
        self.asked: list[Asked] = []

    def hear(self, event: Event) -> None:
        if isinstance(event, Asked):
            self.asked.append(event)


@asynccontextmanager
async def served() -> AsyncGenerator[Served]:
    tree = Supervisor("app", child(Echo, name="echo"), Supervisor("below", child(Echo, name="a")), DynamicSupervisor("rooms"))
    async with tree as app, serve(app, "127.0.0.1:0", operate=True) as at:
        found = Served(app, Client(at.socket), Client(at.url))
        app.subscribe(found.hear)
        yield found


@pytest.mark.parametrize(("way", "who"), [("socket", f"ada (uid {os.getuid()})"), ("http", "ada over HTTP")])
async def test_every_action_is_done_and_is_an_event_with_who(way: str, who: str) -> None:
    async with served() as at:
        client, app = getattr(at, way), at.app
        said = [
            await ask(client.act, "pause", "echo", who="ada"),
            await ask(client.act, "resume", "echo", who="ada"),
            await ask(client.act, "restart", "app/echo", who="ada"),
            await ask(client.act, "stop", "echo", who="ada"),
            await ask(client.act, "start", "echo", who="ada"),
            await ask(client.act, "change", "echo", who="ada", restart="transient", intensity="7/60"),
            await ask(client.act, "change", "below", who="ada", intensity="8/60"),
            await ask(client.act, "change", "app", who="ada", intensity="9/2.5"),
            await ask(client.act, "restart", "below/a", who="ada"),
            await ask(client.act, "restart", "below", who="ada"),
        ]
        assert said == [
            "echo is paused: it accepts messages, and begins none",
            "echo goes on",
            "app/echo is restarted",
            "echo is stopped",
            "echo is started",
            "echo has restart=transient and intensity=7/60 now",
            "below has intensity=8/60 now",
            "app has intensity=9/2.5 now",
            "below/a is restarted",
            "below is restarted",
        ]
        assert {event.who for event in at.asked} == {who}
        assert [(event.path, event.what) for event in at.asked] == [
            ("app/echo", "pause it"),
            ("app/echo", "resume it"),
            ("app/echo", "restart it"),
            ("app/echo", "stop it"),
            ("app/echo", "start it"),
            ("app/echo", "change its restart to transient and change its limit to 7 in 60 s"),
            ("app/below", "change its intensity to 8 in 60 s"),
            ("app", "change its intensity to 9 in 2.5 s"),
            ("app/below/a", "restart it"),
            ("app/below", "restart it"),
        ]
        info = app.get_childspec("echo")
        assert (info.incarnation, str(info.spec.restart), str(info.spec.limit)) == (3, "transient", "7 in 60 s")


async def test_who_doesnt_say_is_named_by_the_system_or_isnt() -> None:
    async with served() as at:
        await ask(at.socket.act, "restart", "echo")
        await ask(at.http.act, "restart", "echo")
        await ask(at.socket.act, "restart", "echo", who="\x1b[31mada\n" + "x" * 100)
        assert [event.who for event in at.asked][:2] == [ME, "somebody over HTTP"]
        assert at.asked[2].who.isprintable()
        assert len(at.asked[2].who) < 80


@pytest.mark.parametrize(
    ("action", "path", "change", "status", "text"),
    [
        ("restart", "ech", {}, 404, "did you mean 'echo'?"),
        ("restart", "below/b", {}, 404, "'below' has no 'b'"),
        ("restart", "app", {}, 409, "app is the root"),
        ("start", "echo", {}, 409, "is running"),
        ("pause", "below", {}, 409, "that is a supervisor, and has no mailbox"),
        ("change", "echo", {}, 400, "say what to change"),
        ("change", "echo", {"restart": "always"}, 409, "did you mean 'permanent'?"),
        ("change", "echo", {"intensity": "many"}, 400, "isn't RESTARTS/SECONDS, e.g. 10/60"),
        ("change", "echo", {"intensity": "9" * 4000 + "/1"}, 400, "isn't RESTARTS/SECONDS"),
        ("change", "echo", {"intensity": "-1/5"}, 400, "isn't RESTARTS/SECONDS"),
        ("change", "echo", {"intensty": "1/5"}, 400, "did you mean 'intensity'?"),
        ("change", "below", {"restart": "transient", "intensity": "1/5"}, 200, ""),
        ("restart", "echo", {"intensity": "1/5"}, 400, "means nothing to restart"),
        ("restrt", "echo", {}, 404, "did you mean 'restart'?"),
    ],
)
async def test_what_the_tree_refuses_is_said_with_the_cure(
    action: str, path: str, change: dict[str, str], status: int, text: str
) -> None:
    async with served() as at:
        if status == 200:
            await ask(at.socket.act, action, path, **change)
            return
        with pytest.raises(LiveError) as refused:
            await ask(at.socket.act, action, path, **change)
        assert refused.value.status == status
        assert text in str(refused.value)
        assert at.asked == [] or status == 409  # the child was found, and it was said before it was refused


async def test_an_action_that_the_loop_doesnt_come_to_is_withdrawn_and_never_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "BEGINS_WITHIN", 1.5)
    async with served() as at:
        gate, answers = Gate(), list[BaseException]()

        def act() -> None:
            assert gate.entered.wait(30)
            try:
                at.socket.act("restart", "below/a")
            except LiveError as error:
                answers.append(error)
            finally:
                gate.open()

        asking = Thread(target=act)
        asking.start()
        await at.app.find("echo").call(Echo.block, gate)
        await ask(asking.join)
        (refused,) = answers
        assert isinstance(refused, LiveError)
        assert refused.status == 503
        assert "the event loop is blocked for 1." in str(refused)
        assert "by app/echo (Echo.block) in Gate.block (" in str(refused)
        assert "what you asked for is withdrawn, and won't be done" in str(refused)
        await ask(at.socket.snapshot)  # whatever was left in the loop's queue has had its turn
        assert at.asked == []
        assert at.app.supervisor("below").get_childspec("a").incarnation == 1


async def test_an_action_that_takes_long_goes_on_without_its_asker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "ANSWERED_WITHIN", 0.05)
    go_on = anyio.Event()

    class Slow:
        async def wait(self) -> None:
            with anyio.CancelScope(shield=True):
                await go_on.wait()

    async with Supervisor("app", child(Slow, name="slow", stop_within=math.inf)) as app, serve(app, operate=True) as at:
        await app.find("slow").send(Slow.wait)
        assert await ask(Client(at.socket).act, "restart", "slow") == "restart slow is under way, and goes on"
        go_on.set()
        while app.get_childspec("slow").incarnation < 2:
            await anyio.lowlevel.checkpoint()
        await app.find("slow").ping()


async def test_the_server_ends_while_an_action_is_under_way() -> None:
    go_on = anyio.Event()

    class Slow:
        async def wait(self) -> None:
            with anyio.CancelScope(shield=True):
                await go_on.wait()

    async with Supervisor("app", child(Slow, name="slow", stop_within=math.inf)) as app:
        await app.find("slow").send(Slow.wait)
        refused = list[LiveError]()
        async with anyio.create_task_group() as group:
            async with serve(app, operate=True) as at:

                def act() -> None:
                    try:
                        Client(at.socket).act("restart", "slow")
                    except LiveError as error:
                        refused.append(error)

                group.start_soon(ask, act)
                while app.get_childspec("slow").state.value != "stopping":
                    await anyio.lowlevel.checkpoint()
            go_on.set()
        assert len(refused) == 1
        while app.get_childspec("slow").incarnation < 2:  # the change goes on, as where any caller is cancelled
            await anyio.lowlevel.checkpoint()
