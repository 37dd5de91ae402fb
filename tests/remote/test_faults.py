"""Connections that end, in short: each call ends, order holds, and what is lost is counted. `python -m tests.remote.faults` is
the long form.

Tested: a few faults on each backend, with a shop in a process of its own; that the ledger finds each kind of wrong there is,
and that the command says what is wrong, with the seed.
"""

from __future__ import annotations

import re

import pytest

from supervise.remote.link import Lost
from tests.long_form import LONG, SEED

from . import faults
from .fault_ledger import Asked, End, Ledger
from .faults import main

ENDS = [End.SENT, End.SENT, End.ANSWERED, End.SENT, End.SENT]
ALL = [(1, number) for number in range(1, 6)]


@pytest.mark.parametrize(("backend", "wire"), [("asyncio", "tcp"), ("trio", "tcp"), ("asyncio", "tls"), ("trio", "unix")])
def test_each_call_ends_and_what_is_lost_is_counted(backend: str, wire: str, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["SIGKILL", "SIGSTOP, long", "RST, old bytes come later", "closed"]
    if wire != "tcp":
        short = ["half-open, both ways", "cut at a byte, back"]
    number = 200 if LONG else len(short)
    kinds = [] if LONG else [f"--only={kind}" for kind in short]
    code = main(["--faults", str(number), "--seed", str(SEED), "--backend", backend, "--wire", wire, *kinds])
    said = capsys.readouterr().out
    assert code == 0, said
    assert said.startswith(f"{number} faults on {backend}, over {wire}, seed {SEED}")
    answered = re.search(r"calls: (\d+) answered, (\d+) unknown", said)
    assert answered is not None
    assert min(map(int, answered.groups())) > 0


def test_the_command_says_what_is_wrong_and_with_which_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing_noted(_: faults.Shop) -> list[tuple[int, int]]:
        return []

    monkeypatch.setattr(faults.Shop, "new_notes", nothing_noted)
    assert main(["--faults", "1", "--seed", "7", "--only", "closed"]) == 1
    said = capsys.readouterr().out
    assert "seed 7" in said.splitlines()[0]
    assert re.search("FAILED: fault 0, before the first: call .* was answered and isn't noted", said)


def ledger(*, lost: Lost | None = None, ends: list[End] = ENDS) -> Ledger:
    """One sender, on one connection, which has ended if anything was `lost`."""
    book = Ledger()
    book.up()
    for key, end in zip(ALL, ends, strict=True):
        book.asked[key] = Asked(key, 0.0, end is not End.SENT, ended=1.0, end=end)
        if end is End.SENT:
            book.written(key)
    if lost is not None:
        book.down("cut", lost)
    return book


def test_what_goes_together_is_right() -> None:
    assert ledger().judge(ALL) == []
    assert ledger(lost=Lost(0, 2)).judge(ALL[:3]) == []
    assert ledger(lost=Lost(0, 1)).judge(ALL[:3], waited_there=1) == []
    refused = [End.SENT, End.REFUSED, End.UNKNOWN, End.TIMED_OUT, End.SENT]
    assert ledger(ends=refused).judge([ALL[0], *ALL[2:]]) == []
    assert ledger(ends=refused).judge([ALL[0], ALL[4]]) == []


@pytest.mark.parametrize(
    ("book", "notes", "wrong"),
    [
        (ledger(), [*ALL[:3], ALL[4], ALL[3]], "4 was noted after 5"),
        (ledger(), [*ALL, ALL[4]], "5 was noted after 5"),
        (ledger(), [*ALL, (2, 1)], "sender 2: 1 was noted when all was said to be over"),
        (ledger(), ALL[:4], "connection 1 is up"),
        (ledger(lost=Lost(0, 1)), ALL[:3], "1 more are missing than were unconfirmed"),
        (ledger(lost=Lost(0, 4)), ALL[1:], "wasn't sent last"),
        (ledger(), [*ALL[:2], *ALL[3:]], r"call \(1, 3\) was answered and isn't noted"),
        (ledger(ends=[End.REFUSED, *ENDS[1:]]), ALL, "certainly wasn't delivered: send refused"),
        (ledger(ends=[End.NOT_CONNECTED, *ENDS[1:]]), ALL, "certainly wasn't delivered: not connected"),
    ],
)
def test_what_doesnt_is_found(book: Ledger, notes: list[tuple[int, int]], wrong: str) -> None:
    assert any(re.search(wrong, line) for line in book.judge(notes))


def test_a_message_that_never_ended_or_never_went_out_is_found() -> None:
    book = ledger()
    book.asked[1, 6] = Asked((1, 6), 0.0, call=True)
    book.asked[1, 7] = Asked((1, 7), 0.0, call=False, ended=1.0, end=End.SENT)
    book.written((1, 8))
    said = book.judge(ALL)
    assert "(1, 6) hasn't ended" in said
    assert "1 never went out, as (1, 7)" in said
    assert "1 went out that nobody has sent, as (1, 8)" in said


def test_a_call_that_certainly_wasnt_delivered_and_is_noted_is_found() -> None:
    book = ledger(ends=[End.TIMED_OUT, *ENDS[1:]])
    book.asked[1, 1].certain = True
    assert any("certainly wasn't delivered: timed out" in line for line in book.judge(ALL))


def test_what_was_noted_late_is_found_after_the_next_round_too() -> None:
    book = ledger()
    assert book.judge(ALL) == []
    assert book.judge([ALL[4]]) != []
