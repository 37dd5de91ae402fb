from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .files import Files, files_in


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    with files_in(tmp_path) as files:
        yield files
