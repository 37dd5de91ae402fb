"""What the tests of several adapters need."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture
def uvicorn_is_silent() -> None:
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
