"""Objects of hostile users: whatever they are asked, they raise."""

from __future__ import annotations

from typing import Any


def rude(*bases: type, raises: type[BaseException] = SystemExit, on: str) -> Any:
    """A class whose named special methods, and `__class__` if it is named, raise."""

    def refuse(*_: object) -> Any:
        raise raises

    methods: dict[str, Any] = dict.fromkeys(on.split(), refuse)
    if "__class__" in methods:
        methods["__class__"] = property(refuse)
    return type("Rude", bases, methods)
