"""Mutated frames, in short: only declared errors leave. `python -m tests.remote.fuzz` is the long form.

Tested: a seed that each CPython has for itself; inputs that were worth to be kept; that the command finds, and prints, what
it is there to find.
"""

from __future__ import annotations

from ast import literal_eval
from collections import Counter
from typing import Final

import pytest

from supervise.errors import ProtocolError
from supervise.wire.frames import RULES
from tests.long_form import LONG, SEED

from . import fuzz
from .fuzz import Input, complaints, feed, main

# As the command prints what failed: so that it stays tried.
FOUND: Final[list[tuple[str, int, list[bytes]]]] = [
    ("answering", 65536, [b"\x00\x00\x3a\x9a\x99\x04\x01" + b"\x91" * 15_000 + b"\xc0"]),
]


def test_only_declared_errors_leave() -> None:
    number = 1_000_000 if LONG else 20_000
    assert complaints(number, fuzz.fuzz(number, SEED)) == []


@pytest.mark.parametrize("given", FOUND)
def test_what_was_kept_is_tried_for_ever(given: tuple[str, int, list[bytes]]) -> None:
    feed(Input(*given), Counter())


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        RecursionError("x"),
        ProtocolError("unheard of", "x"),
        ProtocolError("map", "a\nb"),
        ProtocolError("map", "x" * 1000),
        ProtocolError("map", "the token is secret"),
    ],
)
def test_what_else_leaves_is_printed_so_that_a_test_can_hold_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def instead(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(fuzz, "decode_body", instead)
        assert main(["--frames", "1000", "--seed", "5"]) == 1
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("FAILED with seed 5: ")
    (given,) = literal_eval(f"[{last}]")
    feed(Input(*given), Counter())


def test_a_run_that_shows_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--frames", "20"]) == 1
    assert "FAILED: no frame broke the rule 'limits'" in capsys.readouterr().out
    assert complaints(100, Counter({f"frame refused by {rule}": 1 for rule in RULES} | {"decoded": 9})) == [
        "only 9 of 100 frames were decoded"
    ]


def test_what_piles_up_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    kept: list[bytes] = []

    def keeping(given: Input, _: Counter[str]) -> None:
        kept.append(bytes(2000))

    monkeypatch.setattr(fuzz, "feed", keeping)
    assert main(["--frames", "5000"]) == 1
    assert "FAILED: memory grew by" in capsys.readouterr().out
