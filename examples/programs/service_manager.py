"""A supervisor of programs, as a service manager is one: a web server, a worker that needs it, a flaky one, a hopeless one.

An operator restarts the worker by hand. Then the web server is killed with SIGKILL. It comes back with another pid, and the
worker, which was started after it, is restarted with it. The worker ignores SIGTERM, so each stop of it takes 0.3 s and a
SIGKILL. The hopeless one always fails: after two restarts it is left down, and the others go on.

Look for: two lines "cannot work yet" of the flaky one, and a longer wait after the second; "hopeless #3 … is spent"; "web
#1 ended: killed"; and in the last table new pids for web and worker, the old one for flaky, none for hopeless.
"""

import logging
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

import anyio
from tenacity import wait_exponential

from supervise import ActorRestarting, ActorStopped, Address, Intensity, Restart, RunningSupervisor, Supervisor, child
from supervise.adapters.process import Process, process
from supervise.events import Started

WEB = """
import sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
server = HTTPServer(("127.0.0.1", int(sys.argv[1])), SimpleHTTPRequestHandler)
print("listens")
server.serve_forever()
"""
WORKER = """
import signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))  # fails if nobody listens
print("connected to the web server")
while True:
    time.sleep(1)
"""
FLAKY = """
import pathlib, sys, time
tries, failures = pathlib.Path(sys.argv[1]), int(sys.argv[2])
with tries.open("a") as file:
    file.write("x")
if len(tries.read_text()) <= failures:
    print("cannot work yet", file=sys.stderr)
    sys.exit(3)
print("stays")
time.sleep(60)
"""


class Services:
    """The three programs, written into a folder, and the tree that runs them."""

    def __init__(self, folder: Path) -> None:
        def program(name: str, text: str, *arguments: object) -> list[str]:
            (folder / name).write_text(text)
            return [sys.executable, str(folder / name), *map(str, arguments)]

        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        self.web = child(process(program("web.py", WEB, port), ready=port), name="web")
        # Ready when it has said so. It ignores SIGTERM: after 0.3 s it gets SIGKILL.
        run_worker = process(program("worker.py", WORKER, port), ready="connected")
        self.worker = child(run_worker, name="worker", stop_within=0.3)
        # Waits 0.1 s, 0.2 s, …; these restarts don't count against the supervisor.
        backoff = Restart.permanent(wait=wait_exponential(multiplier=0.1, max=2))
        run_flaky = process(program("flaky.py", FLAKY, folder / "flaky.tries", 2), ready="stays")
        self.flaky = child(run_flaky, name="flaky", restart=backoff, retry_start=True)
        # Beyond two restarts it alone is left down.
        run_hopeless = process(program("hopeless.py", FLAKY, folder / "hopeless.tries", 1000))
        self.hopeless = child(run_hopeless, name="hopeless", limit=Intensity(2, per=60))
        self.core = Supervisor("core", self.web, self.worker, strategy="rest_for_one")
        self.tree = Supervisor("app", self.core, self.flaky, self.hopeless)


async def pid_of(address: Address[Process]) -> int | None:
    """Its pid, or None while it is down: then nobody waits for the next life."""
    try:
        return await address.options(on_restart="fail").call(Process.pid)
    except (ActorRestarting, ActorStopped):
        return None


async def table(title: str, *supervisors: RunningSupervisor) -> dict[str, int | None]:
    """Prints one line for each program, and returns the pids."""
    print(f"-- {title}\n{'program':<10}{'state':<12}{'life':<6}{'restarts':<10}pid")
    pids: dict[str, int | None] = {}
    for supervisor in supervisors:
        for info in supervisor.which_children():
            if info.spec.type == "worker":
                pids[info.id] = await pid_of(supervisor.find(info.id))
                print(f"{info.id:<10}{info.state.value:<12}{info.incarnation:<6}{info.restarts:<10}{pids[info.id] or '-'}")
    return pids


async def kill_and_wait(app: RunningSupervisor, pid: int | None) -> None:
    """Kills the web server, and waits until it and the worker behind it are up again."""
    assert pid is not None
    async with app.events() as events:
        os.kill(pid, signal.SIGKILL)
        async for event in events:
            if isinstance(event, Started) and event.path == "app/core/worker":
                return


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        services = Services(Path(folder))
        print(services.tree)
        async with services.tree as app:
            core = app.supervisor(services.core)
            print("-- down for good:", await app.find(services.hopeless).watch())
            first = await table("all is up that can be", core, app)

            began = anyio.current_time()
            await app.operator("ada").restart("core/worker")
            print(f"-- the worker ignored SIGTERM; its restart took {anyio.current_time() - began:.2f} s")
            second = await table("ada has restarted the worker", core, app)

            await kill_and_wait(app, second["web"])
            last = await table("web was killed with SIGKILL", core, app)

            by_hand = {name for name in first if first[name] != second[name]}
            by_crash = {name for name in second if second[name] != last[name]}
            print("another pid after the restart by hand:", *by_hand, "| after the SIGKILL:", *sorted(by_crash))
            assert None not in (last["web"], last["worker"], last["flaky"])
            assert (by_hand, by_crash) == ({"worker"}, {"web", "worker"})


if __name__ == "__main__":
    logging.basicConfig(
        level=logging.INFO, stream=sys.stdout, format="%(relativeCreated)5d ms %(levelname)-7s %(name)s: %(message)s"
    )
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
