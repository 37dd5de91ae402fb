"""one_for_all: children that only make sense together are restarted together.

Look for: the players of one game hold parts of one state. When one of them crashes, all come back, in start order, and begin
the game anew; nobody goes on with half of it. It counts as one restart.
"""

import sys

import anyio

from supervise import Supervisor, child, current


class Player:
    def __init__(self) -> None:
        self.score = 0

    async def win(self) -> None:
        self.score += 1

    async def cheat(self) -> None:
        raise PermissionError("cheating ends the game for everybody")

    async def show(self) -> str:
        me = current()
        return f"{me.name} #{me.incarnation}: {self.score}"


PLAYERS = [child(Player, name=name) for name in ("ada", "grace", "alan")]


async def main() -> None:
    async with Supervisor("app", *PLAYERS, strategy="one_for_all") as app:
        ada, grace, alan = (app.find(player) for player in PLAYERS)
        await ada.call(Player.win)
        print(await ada.call(Player.show))
        await grace.send(Player.cheat)
        await grace.call(Player.show)  # the answer comes from the next life
        table = [await player.call(Player.show) for player in (ada, grace, alan)]
        print(*table, sep="\n")
        assert table == ["ada #2: 0", "grace #2: 0", "alan #2: 0"]
        assert app.restarts == 1


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
