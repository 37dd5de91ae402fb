"""Who keeps an actor alive: its strong addresses, where they were made, and what refers to them now."""

from __future__ import annotations

import contextlib
import gc
import inspect
import os.path
import sys
from collections.abc import Generator
from dataclasses import dataclass
from types import (
    AsyncGeneratorType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MemberDescriptorType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from weakref import WeakKeyDictionary

from supervise.address.address import Address
from supervise.address.recipient import Recipient
from supervise.frame import Frame
from supervise.mailbox.handler import class_of
from supervise.mailbox.lifetime import Token, watched

if TYPE_CHECKING:
    from supervise.address.address import WeakAddress

Where: TypeAlias = tuple[Frame, ...]

_OURS: Final = os.path.dirname(os.path.dirname(__file__))
_DEPTH: Final = 3  # containers in containers that are looked through for something with a name
_made: WeakKeyDictionary[Token, Where] | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """One strong address, recipient or view, as text; made by `holders`.

    Keeping it keeps nothing alive.

        what: `Address`, `Address view` (made by `options()`) or `Recipient`.
        path: Of the actor.
        made: Where: the lines of the user's own code, innermost first. Empty if nobody watched
            then.
        held_by: What refers to it. Empty if the collector knows of nothing: a C extension, or a
            name that was frozen.

        >>> print(Holder("Address", "app/cart", (), ("the global shop.CART",)))
        Address of app/cart, made where nobody watched, held by the global shop.CART
    """

    what: str
    """`Address`, `Address view` (made by `options()`) or `Recipient`."""
    path: str
    made: Where
    """Where its token was made: the lines of the user's own code, innermost first. Empty: nobody watched then."""
    held_by: tuple[str, ...]
    """What refers to it; empty if the collector knows of nothing: a C extension, or a name that was frozen."""

    def __str__(self) -> str:
        made = "where nobody watched" if not self.made else f"at {_line(self.made[0])}"
        return f"{self.what} of {self.path}, made {made}, held by {', '.join(self.held_by) or 'nothing that is known'}"


@contextlib.contextmanager
def watch_addresses() -> Generator[None, None, None]:
    """Remember where each strong address is made, until the end of the block.

    `holders` says it then. Each one costs some microseconds more meanwhile; outside of the
    block it costs nothing. It can be nested.

        >>> async with Supervisor("app") as app:
        ...     with watch_addresses():
        ...         cart = await app.start(list, name="cart")
        ...         print(holders(cart.weak)[0])
        Address of app/cart, made at <...>:3 in <module>, held by ...
    """
    global _made
    if _made is not None:
        yield
        return
    _made = remembered = WeakKeyDictionary[Token, Where]()

    def made(token: Token) -> None:
        remembered[token] = _stack()

    try:
        with watched(made):
            yield
    finally:
        _made = None


def holders(address: Address[Any] | WeakAddress[Any] | Recipient[..., Any]) -> list[Holder]:
    """Who holds strong addresses of this actor, and where they were made.

    Recipients and views are strong, too. It answers why an actor of `open_mailbox`, or with
    `lifetime="addresses"`, doesn't end. It looks through all objects of the process, so it is
    slow, and a tool for tests. Where an address was made is only known if that was inside of
    `watch_addresses()`.

    The variable that the given address is in counts, too: give a weak one to leave it out.
    Raises nothing.

        >>> async with Supervisor("app") as app:
        ...     carts = {"ada": await app.start(list, name="cart")}
        ...     print(*holders(carts["ada"].weak))
        Address of app/cart, made where nobody watched, held by a dict, under 'ada'...
    """
    mailbox = address._mailbox
    found: list[Holder] = []
    ignored = {id(found)}
    strong: list[Any] = []
    ignored.add(id(strong))
    for referrer in gc.get_referrers(mailbox):
        if isinstance(referrer, Address | Recipient) and referrer._token.open:
            strong.append(referrer)
    for one in strong:
        what = class_of(one).__name__ + (" view" if class_of(one) is Address and one._view_options is not None else "")
        known = _made is not None and isinstance(one._token, Token)  # one that was made before may have no token of its own
        made: Where = _made.get(one._token, ()) if _made is not None and known else ()
        found.append(Holder(what, mailbox.path, made, tuple(sorted(set(_names(one, ignored, _DEPTH))))))
    return sorted(found, key=str)


def _stack() -> Where:
    """The lines that led here, innermost first, but those of this package."""
    lines: list[Frame] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and len(lines) < 8:
        code = frame.f_code
        if not _ours(code):
            lines.append(Frame(code.co_filename, frame.f_lineno, code.co_qualname))
        frame = frame.f_back
    return tuple(lines)


def _ours(code: CodeType) -> bool:
    return code.co_filename.startswith(_OURS + os.sep) or code.co_filename == contextlib.__file__


def _line(frame: Frame) -> str:
    return f"{frame.file}:{frame.line} in {frame.function}"


# What follows looks at who refers to an object, so it must not refer to it in ways that it would find itself: plain loops
# instead of comprehensions and generators, which on some Pythons are functions with cells.


def _names(held: object, ignored: set[int], depth: int) -> list[str]:
    """What refers to an object, in words; through containers that have no name of their own."""
    names = _variables_that_run(held)
    referrers = gc.get_referrers(held)
    ignored = {*ignored, id(referrers), id(held)}
    for referrer in referrers:
        if id(referrer) not in ignored and not isinstance(referrer, FrameType):
            names += _name(referrer, held, ignored, depth)
    return names


def _variables_that_run(held: object) -> list[str]:
    """Local variables of what runs now, in all threads: the collector doesn't see those."""
    names: list[str] = []
    frames = list(sys._current_frames().values())
    while frames:  # none may be left: one of them is this function's own, and a frame that holds itself holds all that it met
        frame: FrameType | None = frames.pop()
        while frame is not None:
            if not _ours(frame.f_code):
                names += _variables(frame, held)
            frame = frame.f_back
    return names


def _variables(frame: FrameType, held: object) -> list[str]:
    names: list[str] = []
    code = frame.f_code
    if not code.co_flags & inspect.CO_OPTIMIZED:  # names of a module, or of a class: they are found as such
        return names
    snapshot = frame.f_locals
    for name, value in snapshot.items():
        if value is held:
            names.append(f"variable {name!r} of {code.co_qualname} ({code.co_filename}:{frame.f_lineno})")
    if isinstance(snapshot, dict) and sys.getrefcount(snapshot) <= 3:
        # Up to Python 3.12 the frame keeps this copy of its variables, and with it all that they held: looking must keep
        # nothing alive. The references are the frame's, ours, and that of the question; whoever asked for locals() has one.
        snapshot.clear()
    return names


def _name(referrer: Any, held: object, ignored: set[int], depth: int) -> list[str]:
    kind = class_of(referrer)
    if issubclass(kind, dict):
        return _in_dict(referrer, held, ignored, depth)
    if issubclass(kind, list | tuple | set | frozenset):
        return _inside(f"a {kind.__name__} of {len(referrer)}", referrer, ignored, depth)
    if issubclass(kind, CellType):
        return _in_closure(referrer)
    if issubclass(kind, CoroutineType | GeneratorType | AsyncGeneratorType):
        return _suspended(referrer, held)
    return _in_attributes(referrer, held)


def _in_attributes(owner: Any, held: object) -> list[str]:
    names = set[str](getattr(owner, "__dict__", {}))
    kind: type
    for kind in class_of(owner).__mro__:
        slots: Any = vars(kind).get("__slots__", ())
        names.update((slots,) if isinstance(slots, str) else slots)
    found: list[str] = []
    for name in names:
        if inspect.getattr_static(owner, name, None) is held or _slot(owner, name) is held:
            found.append(f"{type(owner).__qualname__}.{name}")
    return found or [f"a {type(owner).__qualname__}"]


def _slot(owner: Any, name: str) -> object:
    """What a slot holds, without running any code of the class."""
    descriptor = inspect.getattr_static(class_of(owner), name, None)
    if not isinstance(descriptor, MemberDescriptorType):
        return None
    try:
        return descriptor.__get__(owner)
    except AttributeError:
        return None


def _in_dict(referrer: dict[Any, Any], held: object, ignored: set[int], depth: int) -> list[str]:
    key: object = "?"
    for name, value in referrer.items():
        if value is held:
            key = name
    for owner in gc.get_referrers(referrer):
        if isinstance(owner, ModuleType) and vars(owner) is referrer:
            return [f"{owner.__name__}.{key}"]
        if not isinstance(owner, FrameType | type) and getattr(owner, "__dict__", None) is referrer:
            return [f"{type(owner).__qualname__}.{key}"]
    return _inside(f"a dict, under {key!r}", referrer, ignored, depth)


def _inside(what: str, container: object, ignored: set[int], depth: int) -> list[str]:
    owners = _names(container, ignored, depth - 1) if depth else []
    return [f"{what}, in {owner}" for owner in owners] or [what]


def _in_closure(cell: CellType) -> list[str]:
    for closure in gc.get_referrers(cell):
        if issubclass(class_of(closure), tuple):
            for function in gc.get_referrers(closure):
                if isinstance(function, FunctionType) and function.__closure__ is closure:
                    return [f"the closure of {function.__qualname__} ({function.__code__.co_filename})"]
    return []  # only running code has it, whose variables were looked at


def _suspended(referrer: Any, held: object) -> list[str]:
    frame: FrameType | None = (
        getattr(referrer, "cr_frame", None) or getattr(referrer, "gi_frame", None) or getattr(referrer, "ag_frame", None)
    )
    names = [] if frame is None else _variables(frame, held)
    return names or [f"the {type(referrer).__name__} {referrer.__qualname__}"]
