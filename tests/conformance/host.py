"""The task in which a tree runs, as an application would run it."""

from __future__ import annotations

from collections.abc import Callable

from supervise import GaveUp, RunningSupervisor, StartFailed
from supervise.tree.supervisor import Runnable
from supervise_strategies import Cause


class Host:
    """`async with`, and a body that serves until the tree ends. The script goes on elsewhere, whatever becomes of it."""

    def __init__(self, description: Runnable, answer: Callable[[bool], object]) -> None:
        self._description = description
        self._answer = answer
        self._app: RunningSupervisor | None = None

    @property
    def app(self) -> RunningSupervisor | None:
        """The root's handle. While the tree is being started nobody outside has one yet, but the script needs it."""
        tree = self._description._tree
        if self._app is None and tree is not None:
            self._app = RunningSupervisor(tree.root)
        return self._app

    @property
    def living(self) -> bool:
        """Whether the root is being started, or runs."""
        return self.app is not None and self.app.running

    async def run(self) -> None:
        """Answer whether the tree has started, and come back when it has ended."""
        gave_up = False
        try:
            async with self._description as app:
                self._app = app
                self._answer(True)
                await app.wait()
        except StartFailed:
            self._answer(False)
            return
        except GaveUp:
            gave_up = True
        if self._app is None or self._app.ended is None or gave_up != (self._app.ended.cause is Cause.GAVE_UP):
            raise RuntimeError(f"GaveUp {'left' if gave_up else 'did not leave'} `async with`, and that was wrong")
