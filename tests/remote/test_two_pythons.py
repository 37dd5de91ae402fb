"""Links between two CPythons, in both directions: what holds, and that what doesn't is told.

`two_pythons.py` shows it. The other interpreter is the one that the variable OTHER_PYTHON names.
"""

from __future__ import annotations

import os
import sys

import pytest

from .two_pythons import main

OTHER = os.environ.get("OTHER_PYTHON", "")


@pytest.mark.skipif(not OTHER, reason="the variable OTHER_PYTHON names no other interpreter that has what the library needs")
def test_a_server_on_one_and_a_caller_on_the_other_in_both_directions(capsys: pytest.CaptureFixture[str]) -> None:
    code = main([OTHER])
    said = capsys.readouterr().out
    assert code == 0, said
    here = "{}.{}".format(*sys.version_info)
    to, back = said.splitlines()
    assert to.startswith(f"a caller on CPython {here}, a server on ")
    assert f"a server on {here}: all is as it should be" in back


def test_one_that_doesnt_begin_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["/nowhere/python"]) == 1
    assert "FAILED: " in capsys.readouterr().out
