"""What a decision can refuse.

    StrategyError
    ├── InvalidSpec (also a ValueError)     a description that can never work; raised where it is built
    └── AdminError                          a supervisor's answer to start, terminate, restart, delete
        ├── ChildNotFound                   no child of that name
        ├── ChildAmbiguous                  a key that stands for several children
        ├── ChildRunning                    restart or delete of a child that runs
        ├── ChildRestarting                 restart or delete of a child whose restart is pending
        ├── ChildAlreadyStarted             start of a name that runs
        ├── ChildAlreadyPresent             start of a name that is listed but stopped
        ├── ChildStartFailed                the factory, or the enter hook, raised; `__cause__` says what
        ├── ChildUnstoppable                asked to stop, cancelled, and still alive
        ├── TooManyChildren                 a dynamic supervisor's `max_children` is reached
        ├── NotForDynamic                   a call by name that only static children have
        └── SupervisorNotRunning            there is no supervisor (any more) to answer

Each message names the child, the field or the state it is in, the value and the cure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .suggestion import COMPARED, did_you_mean
from .text import LONG, shown

MOST: Final = 10  # names, or paths, in one text


def there_are(names: Iterable[str]) -> str:
    """The children that are there, for an error about one that isn't."""
    found = [*names]
    if not found:
        return "there are no children now"
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    return f"there {'is' if len(found) == 1 else 'are'} {', '.join(map(repr, found[:MOST]))}{more}"


class StrategyError(Exception):
    """The base of what a supervision decision refuses.

    An `InvalidSpec` is refused where it is written, an `AdminError` by a running supervisor.

    >>> issubclass(InvalidSpec, StrategyError), issubclass(AdminError, StrategyError)
    (True, True)
    """


class InvalidSpec(StrategyError, ValueError):
    """A description that can never work.

    It is raised where the value is built, never later. It is a `ValueError`.

    `who` and `field` name what is wrong, `value` is what was given, and `cure` says what would
    do. `fault` is Erlang/OTP's name for it (`invalid_shutdown`, `duplicate_child_name`, …).

    `among`: the names of which the value should have been one. The cure begins with the
    nearest.

    >>> child(list, restart="transent")
    Traceback (most recent call last):
    InvalidSpec: child 'list': restart='transent' is not valid: did you mean 'transient'?
        'permanent', 'transient' or 'temporary', or e.g.
        Restart.permanent(wait=wait_fixed(1))
    """

    def __init__(
        self, who: str, field: str, value: object, cure: str, *, fault: str = "invalid_value", among: Iterable[object] = ()
    ) -> None:
        cure = f"{did_you_mean(value, among)}{cure}"
        super().__init__(f"{who}: {field}={shown(value, LONG)} is not valid: {cure}")
        self.who: str = who
        self.field: str = field
        self.value: object = value
        self.cure: str = cure
        self.fault: str = fault


class AdminError(StrategyError):
    """A supervisor's refusal of a call that changes the tree.

    Nothing was changed. `.child` names the child.

    >>> async with Supervisor("app") as app:
    ...     try:
    ...         await app.restart_child("names")
    ...     except AdminError as error:
    ...         error.child
    'names'
    """

    template = "child {child!r}: refused"

    def __init__(self, child: str, detail: str = "") -> None:
        super().__init__(self.template.format(child=_Named(child), detail=detail))
        self.child: str = child
        self.detail: str = detail


class _Named:
    """A child's name where a text has its repr: whatever was given as one."""

    def __init__(self, name: object) -> None:
        self._name = name

    def __repr__(self) -> str:
        return shown(self._name, LONG)


class ChildNotFound(AdminError):
    """There is no child of that name.

    The text lists those that are there, and the nearest name. OTP: `not_found`.

    >>> async with Supervisor("app", child(list, name="names")) as app:
    ...     app.find("nmes")
    Traceback (most recent call last):
    ChildNotFound: there is no child 'nmes' here; 'app' has no 'nmes'; there is 'names'; did
        you mean 'names'?
    """

    template = "there is no child {child!r} here{detail}"

    def __init__(self, child: str, detail: str = "", *, among: Iterable[str] | None = None, missing: str | None = None) -> None:
        names = [] if among is None else [*among]
        super().__init__(child, detail if among is None else f"{detail}; {there_are(names)}")
        self._missing = child if missing is None else missing
        self._among = tuple(names[:COMPARED])

    def __str__(self) -> str:
        """With the nearest name, which isn't looked for before: who starts what isn't there yet needs no text."""
        near = did_you_mean(self._missing, self._among)
        return f"{super().__str__()}; {near.rstrip()}" if near else super().__str__()


class ChildAmbiguous(AdminError):
    """A key stands at several places, as its description was started several times.

    `.paths` are the full paths of all. Ask the supervisor of the one that is meant.

    >>> names = child(list, name="names")
    >>> shard = Supervisor("shard", names)
    >>> async with Supervisor("app", shard) as app:
    ...     other = await app.start_child(shard, name="shard-2")
    ...     other.find(names)
    ...     app.find(names)
    Traceback (most recent call last):
    ChildAmbiguous: child 'names': its key stands at several places: app/shard/names,
        app/shard-2/names; give a path, or ask the supervisor that is meant
    """

    template = "child {child!r}: its key stands at several places: {detail}; give a path, or ask the supervisor that is meant"

    def __init__(self, child: str, paths: Sequence[str]) -> None:
        more = f" and {len(paths) - MOST} more" if len(paths) > MOST else ""
        super().__init__(child, f"{', '.join(paths[:MOST])}{more}")
        self.paths: tuple[str, ...] = tuple(paths)


class ChildRunning(AdminError):
    """The child runs, or is being stopped, and the call is only for a stopped one.

    OTP: `running`.

    >>> async with Supervisor("app", child(list, name="names")) as app:
    ...     await app.restart_child("names")
    Traceback (most recent call last):
    ChildRunning: child 'names' is running: terminate_child('names') first
    """

    template = "child {child!r} is running: terminate_child({child!r}) first"


class ChildRestarting(AdminError):
    """A restart of the child is pending, or the next try of its first start.

    OTP: `restarting`.

    >>> import anyio
    >>> from tenacity import wait_fixed
    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list, restart=Restart.permanent(wait=wait_fixed(60)))
    ...     names.kill()
    ...     await anyio.sleep(1)
    ...     await app.delete_child("list")
    Traceback (most recent call last):
    ChildRestarting: child 'list' waits for its restart: terminate_child('list') cancels it
    """

    template = "child {child!r} waits for {detail}: terminate_child({child!r}) cancels it"

    def __init__(self, child: str, detail: str = "its restart") -> None:
        super().__init__(child, detail)


class ChildAlreadyStarted(AdminError):
    """A child of that name runs.

    A name that is left out is made: `list`, `list-2`, `list-3`. OTP: `{already_started, Pid}`.

    >>> async with Supervisor("app", child(list, name="names")) as app:
    ...     await app.start(list, name="names")
    Traceback (most recent call last):
    ChildAlreadyStarted: child 'names' is already started: use find('names'), or
        supervisor('names') if it is one, or another name=
    """

    template = (
        "child {child!r} is already started: use find({child!r}), or supervisor({child!r}) if it is one, or another name="
    )


class ChildAlreadyPresent(AdminError):
    """A child of that name is listed, but doesn't run.

    OTP: `already_present`.

    >>> async with Supervisor("app", child(list, name="names")) as app:
    ...     await app.terminate_child("names")
    ...     await app.start(list, name="names")
    Traceback (most recent call last):
    ChildAlreadyPresent: child 'names' is listed already, and is stopped: use
        restart_child() or delete_child(), or take another name=
    """

    template = "child {child!r} is listed already, and {detail}, or take another name="

    def __init__(self, child: str, detail: str = "is stopped: use restart_child() or delete_child()") -> None:
        super().__init__(child, detail)


class ChildStartFailed(AdminError):
    """The child's factory or enter hook raised.

    `__cause__` is what it raised. Nothing is kept of a new child.

    >>> async with Supervisor("app") as app:
    ...     await app.start(open, "nowhere.txt", name="file")
    Traceback (most recent call last):
    ChildStartFailed: child 'file' didn't start: FileNotFoundError: [Errno 2] No such file
        or directory: 'nowhere.txt'
    """

    template = "child {child!r} didn't start: {detail}"


class ChildUnstoppable(AdminError):
    """The child was asked to stop, then cancelled, and its coroutine still runs.

    It shields or swallows cancellation. It isn't restarted while it runs, and the end of `async
    with` waits for it.

    >>> import anyio
    >>> async def deaf():
    ...     with anyio.CancelScope(shield=True):
    ...         await anyio.sleep(10)
    >>> async with Supervisor("app") as app:
    ...     await app.start_task(deaf, name="deaf")
    ...     await anyio.sleep(1)
    ...     await app.terminate_child("deaf")
    Traceback (most recent call last):
    ChildUnstoppable: child 'deaf' outlives its cancellation; it is stopped as soon as its
        coroutine ends
    """

    template = "child {child!r} outlives its cancellation; it is stopped as soon as its coroutine ends"


class ChildTemporary(AdminError):
    """A temporary child is forgotten when it stops.

    So it can't be stopped and started again. Start a new one instead.

    >>> async with Supervisor("app") as app:
    ...     await app.start(list, name="names", restart="temporary")
    ...     await app.operator("ada").restart("names")
    Traceback (most recent call last):
    ChildTemporary: child 'names' is temporary, and is forgotten when it stops: stop it, and
        start a new one
    """

    template = "child {child!r} is temporary, and is forgotten when it stops: {detail}"


class TooManyChildren(AdminError):
    """A dynamic supervisor is full: it has `max_children`.

    >>> async with DynamicSupervisor("sessions", max_children=1) as sessions:
    ...     await sessions.start(dict)
    ...     await sessions.start(dict)
    Traceback (most recent call last):
    TooManyChildren: child 'dict-2' wasn't started: max_children=1 are running; raise it, or
        shed load before
    """

    template = "child {child!r} wasn't started: max_children={detail} are running; raise it, or shed load before"


class NotForDynamic(AdminError):
    """Children of a dynamic supervisor are known by address, not by name.

    OTP: `simple_one_for_one`.

    >>> async with DynamicSupervisor("sessions") as sessions:
    ...     await sessions.start(dict, name="ada")
    ...     await sessions.terminate_child("ada")
    Traceback (most recent call last):
    NotForDynamic: child 'ada': terminate_child takes no name here; a dynamic supervisor ends
        a child by its address, terminate_child(find('ada')), or a subtree by its handle, and
        what ended is started as a new one; operator(…).restart(address) lifts a quarantine
    """

    template = (
        "child {child!r}: {detail}; a dynamic supervisor ends a child by its address, terminate_child(find({child!r})), or a "
        "subtree by its handle, and what ended is started as a new one; operator(…).restart(address) lifts a quarantine"
    )


class SupervisorNotRunning(AdminError):
    """No supervisor answers under that path.

    It ended, or the one above is restarting it. OTP: `noproc`.

    >>> async with Supervisor("app") as app:
    ...     await app.stop()
    ...     await app.start(list)
    Traceback (most recent call last):
    SupervisorNotRunning: supervisor 'app' isn't running: it has ended, or waits for its
        restart; look at `running` and `ended`, or start the tree again
    """

    template = "supervisor {child!r} isn't running{detail}; look at `running` and `ended`, or start the tree again"
