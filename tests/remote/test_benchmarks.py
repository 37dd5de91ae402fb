"""The benchmarks of links in small: they run, over each wire, in one process and in two, and a limit that is missed is found.

Tested: that each row is made; what a table says of rounds that are made up. No figure of a few rounds is judged.
"""

from __future__ import annotations

from typing import Any

import pytest

from . import benchmarks
from .benchmarks import ROWS, Table, main


@pytest.mark.parametrize(
    "words",
    [
        ["--wire=unix"],
        ["--wire=tls", "--backend=trio"],
        ["--wire=tcp", "--apart"],
        ["--wire=unix", "--apart", "--backend=trio"],
    ],
)
def test_they_make_their_rows(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["--rounds=2", "--size=20", *words])
    said = capsys.readouterr().out
    assert all(row.what in said for row in ROWS)
    assert ("two processes" in said) == ("--apart" in words)


def of(call: float, sends: float, rounds: int = 9) -> Table:
    return Table([[40.0, 40 * call, call, 40 * call / sends, sends, 10.0, 50.0] for _ in range(rounds)])


def test_a_limit_is_missed_if_the_whole_interval_is_beyond_it() -> None:
    assert of(4.9, 8.1).misses() == []
    assert of(5.1, 7.9).misses() == [
        "call : bare is 5.10 x or more, and 5 at most may be",
        "call : send is 7.90 x or less, and has to be 8 at least",
    ]
    table = of(5.1, 9)
    table.rounds += of(4.9, 9, rounds=9).rounds
    assert table.misses() == []


@pytest.mark.parametrize(("wire", "status"), [("unix", 1), ("tcp", 0), ("tls", 0)])
def test_only_unix_has_limits(
    wire: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(*_: Any, **__: Any) -> Table:
        return of(6, 9)

    monkeypatch.setattr(benchmarks, "run", run)
    assert main(["--wire", wire]) == status
    assert ("MISSED: call : bare" in capsys.readouterr().out) == bool(status)
