"""What a handler takes and returns, read from its annotations: both sides compare it before the first message.

The text is what people read, and its hash is what is compared. It is made of the names of the parameters, of how each may be
given, of whether it may be left out (never of its default), of all types down to their fields, and of what the interface
`raises`. How types are written is told in `plain_data.py`.
"""

from __future__ import annotations

import inspect
from collections import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from inspect import Parameter as Given
from typing import Any, Final, NamedTuple, get_origin, get_type_hints

from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import describe

from .plain_data import PLAIN_DATA, written_out

_ITEMS: Final = (abc.Iterator, abc.Generator, abc.AsyncIterator, abc.AsyncGenerator, abc.AsyncIterable, abc.Iterable)
_LATER: Final = (abc.Awaitable, abc.Coroutine)
_NO_ITEMS: Final = "items don't cross one by one: return a list, or declare what it yields as events=(…,)"


class Parameter(NamedTuple):
    """One of the parameters of a handler."""

    name: str
    type: Any
    required: bool
    positional: bool
    """It may be given by its position."""
    by_name: bool
    """It may be given by its name."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a handler takes and returns."""

    text: str
    hash: bytes
    parameters: tuple[Parameter, ...]
    result: Any
    declared: inspect.Signature
    """As Python has it, with the instance as first parameter."""


def hash_of(text: str) -> bytes:
    """8 bytes, the same on every side and in every version."""
    return blake2b(text.encode(errors="backslashreplace"), digest_size=8).digest()


def signature_of(who: str, name: str, function: Callable[..., Any], owner: type, raises: Sequence[str]) -> Signature:
    """Read the signature of a handler of a class.

    Raises `InvalidSpec` for what can't cross; `who` stands in the error.

    >>> class Shop:
    ...     async def place(self, item: str, *, urgent: bool = False) -> int | None: ...
    >>> signature_of("shop", "place", Shop.place, Shop, ["OutOfStock"]).text
    'place(item: str, *, urgent: bool = ...) -> int | None raises OutOfStock'
    """
    declared, hints = _read(who, function, owner)
    given = [*declared.parameters.values()]
    if not given or given[0].kind not in (Given.POSITIONAL_ONLY, Given.POSITIONAL_OR_KEYWORD):
        raise InvalidSpec(who, "self", declared, "it has no first parameter for the instance that it runs on")
    for each in given[1:]:
        if each.kind in (Given.VAR_POSITIONAL, Given.VAR_KEYWORD):
            raise InvalidSpec(who, each.name, str(each), "name each parameter, or take a list or a dict of one type")
        if each.name not in hints:
            raise InvalidSpec(who, each.name, "", f"say of which type it is: {PLAIN_DATA}")
    _check_result(who, function, hints)
    types = {each.name: hints[each.name] for each in given[1:]}
    texts = written_out(who, {**types, "return": hints["return"]})
    parameters = tuple(
        Parameter(
            each.name,
            hints[each.name],
            required=each.default is Given.empty,
            positional=each.kind is not Given.KEYWORD_ONLY,
            by_name=each.kind is not Given.POSITIONAL_ONLY,
        )
        for each in given[1:]
    )
    text = f"{name}({', '.join(_marked(given[1:], texts))}) -> {texts['return']}"
    if raises:
        text = f"{text} raises {', '.join(raises)}"
    return Signature(text, hash_of(text), parameters, hints["return"], declared)


def _marked(given: Sequence[Given], texts: dict[str, str]) -> list[str]:
    """The parameters, with the marks `/` and `*` as in Python."""
    parts: list[str] = []
    by_name = False
    for each, before in zip(given, [None, *given], strict=False):
        if before is not None and before.kind is Given.POSITIONAL_ONLY and each.kind is not Given.POSITIONAL_ONLY:
            parts.append("/")
        if each.kind is Given.KEYWORD_ONLY and not by_name:
            by_name = True
            parts.append("*")
        parts.append(f"{each.name}: {texts[each.name]}{'' if each.default is Given.empty else ' = ...'}")
    if given and given[-1].kind is Given.POSITIONAL_ONLY:
        parts.append("/")
    return parts


def _read(who: str, function: Callable[..., Any], owner: type) -> tuple[inspect.Signature, dict[str, Any]]:
    """What Python says of it: its parameters, and what its annotations stand for."""
    try:
        declared = inspect.signature(function)
        try:
            hints = get_type_hints(function, include_extras=True)
        except NameError:  # perhaps of a class that stands in its own
            hints = get_type_hints(function, localns=dict(vars(owner)), include_extras=True)
    except BaseException as error:
        if interrupts(error):
            raise
        cure = "its annotations have to be there at run time, in its module: not under TYPE_CHECKING, nor in a function"
        raise InvalidSpec(who, "annotations", describe(error), cure) from error
    return declared, hints


def _check_result(who: str, function: Callable[..., Any], hints: dict[str, Any]) -> None:
    if "return" not in hints:
        raise InvalidSpec(who, "return", "", f"say what it returns, be it -> None: {PLAIN_DATA}")
    result = hints["return"]
    body = inspect.unwrap(function)
    kind = get_origin(result) or result
    if inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body) or any(kind is each for each in _ITEMS):
        raise InvalidSpec(who, "return", result, _NO_ITEMS)
    if any(kind is each for each in _LATER):
        raise InvalidSpec(who, "return", result, "write `async def`, and what is awaited as its result")
