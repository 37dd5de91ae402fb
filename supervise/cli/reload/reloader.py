"""One look at the disk: what has changed is imported anew, and takes the place of what runs; or what is wrong is said.

Nothing here waits for a file: who watches calls `look`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final, NamedTuple

from supervise.cli.failure import traceback_text
from supervise.cli.target import WrongTarget
from supervise.cli.telemetry import WrongTelemetry
from supervise.log import say
from supervise_strategies.exit_reason import describe

from .execution import Done, Execution, standing_of
from .finding import NewCode
from .generation import Generation, NotImported, import_anew
from .parts import code_in
from .plan import Action, Path, Plan, planned
from .program import Changes, Program
from .telling import tell

if TYPE_CHECKING:
    from supervise.tree.running import RunningSupervisor
    from supervise.tree.supervisor import Runnable

    from .folders import Folders

NAMED: Final = 10  # paths or files in one line
_OF_THE_ROOT: Final = ("listener", "metrics", "tracing", "on_dead_letter", "on_crash", "recorder")
_TOLD: Final = (Action.RESTART, Action.REPLACE, Action.CHANGE, Action.ADD, Action.REMOVE)


class Loaded(NamedTuple):
    """What is on the disk now, and in `sys.modules`."""

    tree: Runnable
    generation: Generation
    files: str


class Reloader:
    """That of one program. `load` gives its tree, of what is in `sys.modules`; `importing` is around all that is imported."""

    def __init__(
        self,
        program: Program,
        load: Callable[[], Runnable],
        importing: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._program = program
        self._load = load
        self._importing = importing
        self._tried: dict[str, bytes] | None = None  # what couldn't be imported
        self._execution: Execution | None = None
        self._stale: set[Path] = set()
        self._warned: set[str] = set()

    def look(self, *, hint: bool = True) -> Loaded | None:
        """Import what has changed; None if there is nothing, or it can't be imported. In that case the old modules are back.

        `hint`: a file of the program was written, so what couldn't be imported is tried again, for it may need that file.
        """
        changes = self._program.changes()
        if not changes or (changes.sources == self._tried and not hint):
            return None
        files = self._files(changes)
        try:
            with self._importing():
                generation = import_anew(self._program, self._program.affected(changes), changes.gone)
                tree = self._tree_of(generation)
                self._program.note(changes)
                self._tried = None
                return Loaded(tree, generation, files)
        except NotImported as wrong:
            self._refuse(changes, f"{wrong.file} can't be imported ({describe(wrong.error)})", traceback_text(wrong.error))
        except WrongTarget as wrong:
            self._refuse(changes, str(wrong), wrong.traceback)
        except WrongTelemetry as wrong:
            self._refuse(changes, str(wrong))
        except SystemExit as error:
            self._refuse(changes, f"the function that makes the tree raised {describe(error)}", traceback_text(error))
        return None

    def _tree_of(self, generation: Generation) -> Runnable:
        done = False
        try:
            tree = self._load()
            done = True
        finally:
            if not done:
                generation.put_back()
        return tree

    def _refuse(self, changes: Changes, why: str, traceback: str = "") -> None:
        self._tried = changes.sources
        tell(f"{why}: the old code runs on", traceback)

    @property
    def folders(self) -> Folders:
        """Where the program's files are."""
        return self._program.folders

    def plan(self, app: RunningSupervisor, loaded: Loaded) -> Plan | None:
        """What a running tree has to do to go on with what was loaded; from now on it is described so.

        None: its root is another one, so it has to be started anew.
        """
        if self._execution is None or not self._execution.is_of(app):
            self._execution, self._stale, self._warned = Execution(app), set(), set()
        execution = self._execution
        execution.hurry()
        code = NewCode(loaded.generation.old, loaded.generation.new)
        plan = planned(standing_of(app._branch), loaded.tree, code, execution.owed)
        if plan.anew:
            return None
        self._warn_of_the_root(app, code)
        execution.describe(plan)
        self._warn(app, plan)
        return plan

    async def carry_out(self, app: RunningSupervisor, loaded: Loaded, plan: Plan) -> None:
        """Do it, and say what was done."""
        assert self._execution is not None
        self._tell(app, loaded, plan, await self._execution.carry_out(plan))

    def _warn_of_the_root(self, app: RunningSupervisor, code: NewCode) -> None:
        """Once of each, too: what looks at all of the tree was set up as it began."""
        description = app._branch.description
        old = [
            option
            for option in _OF_THE_ROOT
            if option not in self._warned and any(map(code.is_old, code_in(getattr(description, option, None))))
        ]
        self._warned.update(old)
        if old:
            text = "reload: %s of %s runs on with its old code until the program is started again"
            say(logging.WARNING, text, ", ".join(f"{option}=" for option in old), app.path)

    def _warn(self, app: RunningSupervisor, plan: Plan) -> None:
        """Once of each: it stays so."""
        stale = [path for path in plan.lost if path not in self._stale]
        self._stale.update(stale)
        if stale:
            text = "reload: %s: the factory has no name by which the new one could be found, so the old code runs on"
            say(logging.WARNING, text, _listed([_shown(app, path) for path in stale]))

    def _tell(self, app: RunningSupervisor, loaded: Loaded, plan: Plan, done: Done) -> None:
        said = [
            f"{action.value} {_listed([_shown(app, path) for path in done.paths[action]])}"
            for action in _TOLD
            if done.paths[action]
        ]
        rest = sum(place.alive() and not _is_among(place.path, plan, done) for place in app._branch.actors())
        said_rest = f"{rest} actor{'' if rest == 1 else 's'} of unchanged code run{'s' if rest == 1 else ''} on"
        tell(f"{loaded.files}: {'; '.join(said) or 'nothing of it is an actor'}; {said_rest}")
        for path, error in done.failed.items():
            if error is None:
                tell(f"{_shown(app, path)} didn't start with its new code: its restart policy decides")
            else:
                tell(f"{_shown(app, path)}: {error}: the next change tries it again")

    def _files(self, changes: Changes) -> str:
        modules = self._program.modules()
        return _listed(sorted({self._program.folders.shown(str(modules[name].__file__)) for name in changes.sources}))


def _is_among(path: str, plan: Plan, done: Done) -> bool:
    """Whether something was done to an actor, or to the supervisor that it came with; or should have been."""
    parts = tuple(path.split("/")[1:])
    all_of_them = (*done.paths[Action.RESTART], *done.paths[Action.REPLACE], *done.paths[Action.ADD], *plan.lost)
    return any(parts[: len(each)] == each for each in all_of_them)


def _shown(app: RunningSupervisor, path: Path) -> str:
    return "/".join((app.path, *path))


def _listed(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
