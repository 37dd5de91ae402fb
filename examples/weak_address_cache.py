"""A cache of weak addresses: it finds what is in use, and keeps nothing alive itself.

Look for: the users hold strong addresses, the cache weak ones. Who asks for the same page gets the same actor. When the last
user closes its address the actor ends, by itself, after what was queued; `strong()` then refuses, and the cache opens anew.
Nothing is counted by hand, no entry expires, and a forgotten `close()` is made good when the address is collected.
"""

import sys
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from supervise import Address, Crashed, MailboxClosed, OpenMailbox, WeakAddress, open_mailbox


class Page:
    """Something that is dear to open, and should be open once."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log
        self.text = ""

    async def __aenter__(self) -> Self:
        self.log.append(f"open {self.name}")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.log.append(f"close {self.name}: {self.text!r}")

    async def write(self, text: str) -> None:
        self.text += text


class Cache:
    def __init__(self, tasks: TaskGroup, log: list[str]) -> None:
        self._tasks = tasks
        self._log = log
        self._pages: dict[str, WeakAddress[Page]] = {}

    def get(self, name: str) -> Address[Page]:
        """A strong address, which is the caller's own to close. It awaits nothing, so no other `get` comes in between."""
        cached = self._pages.get(name)
        if cached is not None:
            try:
                return cached.strong()
            except MailboxClosed:
                pass  # its last user is gone; it may still be closing
        mailbox, page = open_mailbox(Page, name=name)
        self._pages[name] = page.weak
        self._tasks.start_soon(self._run, mailbox, name)
        return page

    async def _run(self, mailbox: OpenMailbox[Page], name: str) -> None:
        while isinstance(await mailbox.run(Page, name, self._log), Crashed):
            pass  # a fresh one takes over; its users needn't know


async def main() -> None:
    log: list[str] = []
    async with anyio.create_task_group() as tasks:  # ends by itself, when the last page does
        cache = Cache(tasks, log)
        mine, yours = cache.get("home"), cache.get("home")
        assert mine == yours  # two addresses of one mailbox
        await mine.send(Page.write, "a")
        mine.close()
        await yours.send(Page.write, "b")  # the other user goes on
        yours.close()  # "b" may wait still: it is written before the page is closed

        again = cache.get("home")
        assert again != yours
        await again.send(Page.write, "c")
        again.close()
    print(*log, sep="\n")
    assert sorted(log) == ["close home: 'ab'", "close home: 'c'", "open home", "open home"]


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
