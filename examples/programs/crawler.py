"""A crawler: a frontier that knows what was seen, 4 workers, and a small web, some pages of which are bad.

The workers begin 4 fetches a second at most, and one at a time for each host. What crashes a worker is tried again,
with longer and longer waits; after 5 tries it is in the dead-letter list. Nobody knows how many pages there are: the
crawl is over when each page that was seen has come to its end. All of it is in virtual time.

Look for: "left" falls to 0, and that ends the program. The page of c.org is fetched although its server is down for
6 s, d.org/poison and e.org/hangs are the only dead letters, and a crash of the frontier fetches nothing twice.
"""

import json
import sys
import tempfile
from collections import Counter
from typing import NamedTuple

import anyio
from tenacity import wait_exponential

from supervise import Address, Message, Redeliver, Restart, Supervisor, Throttle, Undelivered, WeakAddress, child, current, pool
from supervise.testing import crash_on, virtual_time

# each page: its links, the seconds that it takes, and what is wrong with it
WEB: dict[str, tuple[str, float, str]] = {
    "a.org/": ("a.org/1 a.org/ b.org/ c.org/ d.org/ e.org/", 0.1, ""),
    "a.org/1": ("a.org/ b.org/1", 0.1, ""),
    "b.org/": ("b.org/1", 3, ""),
    "b.org/1": ("", 3, ""),
    "c.org/": ("", 0.1, "down for 6 s"),
    "d.org/": ("d.org/poison d.org/after", 0.1, ""),
    "d.org/poison": ("", 0.1, "poison"),
    "d.org/after": ("", 0.1, ""),
    "e.org/": ("e.org/once e.org/gone e.org/hangs", 0.1, ""),
    "e.org/once": ("", 0.1, "raises once"),
    "e.org/hangs": ("", 10_000, ""),
}
fetches: list[tuple[float, str]] = []  # what the servers saw; they are no part of the tree
busy: Counter[str] = Counter()
dead_letters = tempfile.TemporaryFile("w+")  # noqa: SIM115 - main closes it; it gets a line of JSON for each


class Result(NamedTuple):
    url: str
    end: str
    left: int  # pages that were seen, and have not come to their end


class Worker:
    async def fetch(self, url: str, back: "WeakAddress[Frontier]") -> None:
        host = url.partition("/")[0]
        fetches.append((anyio.current_time(), url))
        busy[host] += 1
        assert busy[host] == 1, "two fetches of one host"
        try:
            links, seconds, fault = WEB.get(url, ("", 0.1, "gone"))
            await anyio.sleep(seconds)
        finally:
            busy[host] -= 1
        if fault == "down for 6 s" and anyio.current_time() < fetches[0][0] + 6:
            raise ConnectionError("503, come back later")
        if fault == "poison" or (fault == "raises once" and current().attempt == 1):
            raise ValueError("the parser has no idea")
        end = "is gone" if fault == "gone" else f"fetched at try {current().attempt}"  # gone is an answer, and no crash
        await back.send(Frontier.ended, url, end, links.split())


class Frontier:
    def __init__(self) -> None:
        last = current().last_checkpoint
        self.seen: dict[str, str] = {} if last is None else dict(last.value)  # each page, and how far it is
        self.news = anyio.Event()
        current().nursery.start_soon(self.feed)

    async def feed(self) -> None:
        """Waits while the workers' mailbox is full. The handlers go on meanwhile, so no ring of waiting sends forms."""
        workers: Address[Worker] = current().find(WORKERS)
        while True:
            for url in [url for url, state in self.seen.items() if state == "waits"]:
                if len(workers) == CAPACITY:
                    print(f"        the workers have no room for {url}")
                await workers.send(Worker.fetch, url, current().address)
                if self.seen[url] == "waits":  # a fast worker may have ended it already
                    self.seen[url] = "given"
                current().checkpoint(dict(self.seen))
            self.news = anyio.Event()
            await self.news.wait()

    async def found(self, urls: list[str]) -> None:
        self.seen = dict.fromkeys(urls, "waits") | self.seen
        current().checkpoint(dict(self.seen))
        self.news.set()

    async def ended(self, url: str, end: str, links: list[str]) -> None:
        self.seen[url] = end
        await self.found(links)  # before "left" is counted: the last page may have links
        current().publish(Result(url, end, sum(state in ("waits", "given") for state in self.seen.values())))


def write_down(lost: Undelivered) -> None:
    url, back = lost.message.args
    print(json.dumps({"url": url, "tries": lost.attempts, "why": lost.why}), file=dead_letters)
    back.try_send(Frontier.ended, url, "is a dead letter", [])


def host_of(message: Message) -> object:
    return message.args[0].partition("/")[0]


CAPACITY = 6  # what waits for its next try takes room, too, so it is more than the bad hosts need
FRONTIER = child(Frontier, redeliver=1)
WORKERS = pool(
    Worker,
    name="workers",
    size=4,
    capacity=CAPACITY,
    key=host_of,
    throttle=Throttle(4, burst=1),
    handler_deadline=5,
    redeliver=Redeliver(4, wait=wait_exponential(multiplier=0.5, max=30)),
    restart=Restart.permanent(wait=wait_exponential(multiplier=0.1, max=30)),  # many bad pages don't end the pool
    on_dead_letter=write_down,
)


async def main() -> None:
    async with Supervisor("crawler", FRONTIER, WORKERS) as app:
        frontier = app.find(FRONTIER)
        async with frontier.subscribe(Result) as results:
            await frontier.send(Frontier.found, ["a.org/"])
            async for result in results:
                print(f"{anyio.current_time() - fetches[0][0]:4.1f} s: {result.url} {result.end}; {result.left} left")
                if result.url == "d.org/":
                    crash_on(frontier, Frontier.ended)  # once: the next result meets a frontier that crashes
                if result.left == 0:
                    break
    with dead_letters:
        dead_letters.seek(0)
        written = dead_letters.read()
    print(written, end="")
    times = Counter(url for _, url in fetches)
    again = {"c.org/": 5, "d.org/poison": 5, "e.org/hangs": 5, "e.org/once": 2}
    assert times == dict.fromkeys([*WEB, "e.org/gone"], 1) | again, times
    assert [url for _, url in fetches if url[0] == "d"] == ["d.org/", *["d.org/poison"] * 5, "d.org/after"]
    assert all(later - earlier > 0.999 for (earlier, _), (later, _) in zip(fetches, fetches[4:], strict=False))
    assert {json.loads(line)["url"] for line in written.splitlines()} == {"d.org/poison", "e.org/hangs"}


if __name__ == "__main__":
    virtual_time.run(sys.argv[1] if len(sys.argv) > 1 else "asyncio", main)
