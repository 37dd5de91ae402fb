"""What adapts a third-party package needs it only when it is imported, and says how to get it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "strategies")])}
THIRD_PARTY = ("pykka", "uvicorn", "starlette", "fastapi")


def python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=ENVIRONMENT, text=True, capture_output=True, check=True, timeout=60).stdout.strip()


@pytest.mark.parametrize("package", ["pykka", "uvicorn"])
def test_without_the_package_the_adapter_says_how_to_get_it(package: str) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
try:
    import supervise.adapters.{package}
except ImportError as error:
    print(error)
"""
    assert python(code) == f"supervise.adapters.{package} needs {package}: pip install {package}"


def test_the_other_adapters_need_none_of_them() -> None:
    modules = [path.stem for path in (ROOT / "supervise" / "adapters").glob("*.py")]
    theirs = ("__init__", "pykka", "pykka_reference", "uvicorn")
    others = ", ".join(f"supervise.adapters.{name}" for name in modules if name not in theirs)
    assert python(f"import sys, {others}; print([p for p in {THIRD_PARTY!r} if p in sys.modules])") == "[]"
