"""What takes long is tested in a short form, with each change; its long form, with HYPOTHESIS_PROFILE=long, now and then."""

from __future__ import annotations

import os
import sys
from typing import Final

import pytest

LONG: Final = os.environ.get("HYPOTHESIS_PROFILE") == "long"
SEED: Final = sys.version_info.minor
"""For what is made up at random: each CPython has examples of its own, and always the same ones. So all that the tests run on
see more of them together than each of them alone.
"""


def on(backend: str) -> pytest.MarkDecorator:
    """A test of both backends that takes long, and in whose proof they differ in nothing: in short, on that one alone."""
    return pytest.mark.parametrize("backend", ["asyncio", "trio"] if LONG else [backend])
