"""What an operator asks for: checked in the server's thread, done in the tree's loop by `app.operator(who)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from supervise.tree.running import RunningSupervisor
from supervise_strategies.errors import InvalidSpec, StrategyError
from supervise_strategies.intensity import Intensity
from supervise_strategies.suggestion import did_you_mean
from supervise_strategies.text import one_line

from .request import Refused

if TYPE_CHECKING:
    from supervise.tree.operator import Operator

NAMES: Final = ("restart", "stop", "start", "pause", "resume", "change")
MAY_CHANGE: Final = ("restart", "intensity")
LONGEST_PATH: Final = 1000


class Deed(NamedTuple):
    """One action on one child, or on a supervisor."""

    name: str
    path: str
    """Relative to the root; empty for the root itself, whose intensity can be changed."""
    restart: str | None = None
    intensity: Intensity | None = None

    @property
    def in_words(self) -> str:
        return f"{self.name} {self.path}"


def deed_of(name: str, said: Mapping[str, Any]) -> Deed:
    """What is asked for. Raises `Refused`."""
    if name not in NAMES:
        raise Refused(
            404, f"there is no action {one_line(name, 40)!r}: {did_you_mean(name, NAMES)}there are {', '.join(NAMES)}"
        )
    path = said.get("path")
    if not isinstance(path, str) or not path.strip("/") or len(path) > LONGEST_PATH:
        raise Refused(400, "say whose: path, e.g. 'workers/3'")
    known = ("path", "as", *(MAY_CHANGE if name == "change" else ()))
    unknown = [key for key in said if key not in known]
    if unknown:
        near = did_you_mean(unknown[0], known)
        raise Refused(400, f"{one_line(unknown[0], 40)!r} means nothing to {name}: {near}say {', '.join(known)}")
    if name != "change":
        return Deed(name, path)
    restart, intensity = said.get("restart"), said.get("intensity")
    if restart is None and intensity is None:
        raise Refused(400, "say what to change: restart=permanent, transient or temporary; or intensity=10/60")
    if restart is not None and not isinstance(restart, str):
        raise Refused(400, "restart is permanent, transient or temporary")
    return Deed(name, path, restart, None if intensity is None else _intensity(intensity))


def _intensity(said: object) -> Intensity:
    """`10/60`: ten restarts within 60 seconds."""
    restarts, _, per = str(said).partition("/")
    try:
        if len(restarts) > 9:  # which nobody reaches, and a text of thousands of digits would stand in events
            raise ValueError
        return Intensity(int(restarts), per=float(per))
    except (ValueError, InvalidSpec):
        raise Refused(400, f"intensity={one_line(str(said), 40)!r} isn't RESTARTS/SECONDS, e.g. 10/60") from None


async def do(deed: Deed, app: RunningSupervisor, who: str) -> str:
    """Do it, in the tree's loop; the answer says in words what was done. Raises what the operator's methods do."""
    path = relative(app, deed.path)
    if not path and deed.name != "change":
        raise Refused(409, f"{app.name} is the root: a signal to its process stops it, and {deed.name} is for what is below it")
    if deed.name == "change":
        return await _change(deed, app, path, who)
    operator = app.operator(who)
    match deed.name:
        case "pause":
            operator.pause(path)
            return f"{deed.path} is paused: it accepts messages, and begins none"
        case "resume":
            operator.resume(path)
            return f"{deed.path} goes on"
        case "stop":
            await operator.stop(path)
            return f"{deed.path} is stopped"
        case "start":
            return _began(deed.path, await operator.start(path), "started")
        case _:
            return _began(deed.path, await operator.restart(path), "restarted")


def _began(path: str, wanted: bool, word: str) -> str:
    return f"{path} is {word}" if wanted else f"{path} isn't up: its factory ignored the start"


async def _change(deed: Deed, app: RunningSupervisor, path: str, who: str) -> str:
    """A supervisor's intensity is its own; a child's is its limit."""
    operator: Operator = app.operator(who)
    changed: list[str] = []
    if deed.intensity is not None and deed.restart is None and _is_supervisor(app, path):
        branch = app if not path else app.supervisor(path)
        await branch.operator(who).change_intensity(deed.intensity)
    elif deed.restart is None:
        await operator.change(path, limit=deed.intensity)
    elif deed.intensity is None:
        await operator.change(path, restart=deed.restart)  # type: ignore[arg-type]  # it is judged there
    else:
        await operator.change(path, restart=deed.restart, limit=deed.intensity)  # type: ignore[arg-type]  # the same
    if deed.restart is not None:
        changed.append(f"restart={deed.restart}")
    if deed.intensity is not None:
        changed.append(f"intensity={deed.intensity.restarts}/{deed.intensity.per:g}")
    return f"{deed.path} has {' and '.join(changed)} now"


def _is_supervisor(app: RunningSupervisor, path: str) -> bool:
    if not path:
        return True
    try:
        app.supervisor(path)
    except InvalidSpec:
        return False
    return True


def relative(app: RunningSupervisor, path: str) -> str:
    """A path as `find` takes it; with that of the served supervisor before it, as rows and events have it, it is the same.

    A child may have the name of its tree. What rows say is what is meant, then, if there is such a one.
    """
    path = path.strip("/")
    if not f"{path}/".startswith(f"{app.path}/"):
        return path
    inside = path[len(app.path) :].lstrip("/")
    return path if path.partition("/")[0] in app._branch.places and not (inside and _is_there(app, inside)) else inside


def _is_there(app: RunningSupervisor, path: str) -> bool:
    try:
        app._branch.tree.registry.place(app._branch, path)
    except StrategyError:
        return False
    return True
