"""Whether what a handler raised is an answer to its caller, or the crash of its actor."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from .errors import InvalidSpec
from .exception import cause_of
from .kind import is_of, name_of_kind
from .restart import Predicate, matches

OnError: TypeAlias = Literal["crash", "reply"]
Expects: TypeAlias = tuple[type[BaseException], ...] | Predicate
Why: TypeAlias = Literal["expected", "reply", "isolated"]
_CURE: Final = (
    "a tuple of exception classes, e.g. (KeyError,); or a predicate: retry_if_not_exception_type(ConnectionError), "
    "or a function of the exception"
)


class Verdict(NamedTuple):
    """What is said of one exception."""

    why: Why | None
    """Why it is an answer; None: it is a crash."""
    raised: BaseException | None = None
    """By the user's own predicate or class, which then matched nothing."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Which exceptions of a child's handlers are answers, and no crash.

    | | a call gets as itself | a send survives |
    |---|---|---|
    | nothing is said | nothing | nothing |
    | `expects=` | what is expected | what is expected |
    | `on_error="reply"` | any `Exception` | nothing |
    | both | any `Exception` | what is expected |

    Classes are matched on the exception itself, never inside a group: of a group only the whole
    is known to the caller. A predicate is asked of each exception in it, and all of them must
    match. Else a group of lost connections would be an answer. It only sees `Exception`s, and
    one that raises doesn't match.

    KeyboardInterrupt and SystemExit are never answers. Nor, by `on_error`, is what no coroutine
    can raise as itself: a StopIteration.

        >>> answers = Answers(expects=(KeyError,))
        >>> answers.judge(KeyError("ada"), call=True).why
        'expected'
        >>> answers.judge(OSError("no route"), call=True).why is None  # a crash
        True
    """

    expects: Expects = ()
    on_error: OnError = "crash"

    def judge(self, error: BaseException, *, call: bool) -> Verdict:
        """What is said of an exception that a handler raised; it raises nothing itself.

        `call`: somebody waits for the answer, or did.
        """
        if call and self.on_error == "reply" and is_of(error, Exception) and not _stands_for_another(error):
            return Verdict("reply")
        if self.expects == () or is_of(error, KeyboardInterrupt, SystemExit, GeneratorExit):
            return Verdict(None)
        try:
            expects: Any = self.expects
            if issubclass(type(expects), tuple):
                return Verdict("expected" if isinstance(error, expects) else None)
            matched, raised = matches(expects, error)
        except BaseException as failed:  # a class may have an `__instancecheck__` of its own
            return Verdict(None, failed)
        return Verdict("expected" if matched else None, raised)


def stand_in(error: BaseException) -> RuntimeError:
    """What is raised in a coroutine for what a thread has raised, if that would mean something else there."""
    return RuntimeError(f"{name_of_kind(type(error))} was raised in the thread")


def _stands_for_another(error: BaseException) -> bool:
    """Whether it stands for what no coroutine can raise as itself: Python's own rule for StopIteration, and that of threads."""
    if is_of(error, StopIteration):
        return True
    cause = cause_of(error)
    if type(error) is not RuntimeError or cause is None or len(error.args) != 1 or type(error.args[0]) is not str:
        return False
    by_python = is_of(cause, StopIteration, StopAsyncIteration) and error.args[0] in _BY_PYTHON
    return by_python or error.args == stand_in(cause).args


_BY_PYTHON: Final = (
    "coroutine raised StopIteration",
    "generator raised StopIteration",
    "async generator raised StopIteration",
    "async generator raised StopAsyncIteration",
)


def as_answers(who: str, expects: Expects, on_error: OnError) -> Answers:
    """What a child says about answers, checked; `who` stands in the error. Raises `InvalidSpec`."""
    given: Any = expects
    if issubclass(type(given), tuple):
        if not all(isinstance(each, type) and issubclass(each, BaseException) for each in given):
            raise InvalidSpec(who, "expects", given, _CURE)
    elif not callable(given) or inspect.isclass(given):
        raise InvalidSpec(who, "expects", given, _CURE)
    elif inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(given.__call__):
        raise InvalidSpec(who, "expects", given, f"it can't be awaited: {_CURE}")
    if on_error not in ("crash", "reply"):
        cure = "'crash' (what a handler raises ends the actor) or 'reply' (a call's caller gets it, and the actor lives on)"
        raise InvalidSpec(who, "on_error", on_error, cure, among=("crash", "reply"))
    return Answers(expects, on_error) if expects != () or on_error != "crash" else CRASHES


CRASHES: Final = Answers()
"""Nothing is an answer."""
