"""Whatever happens, in whatever order: the promises hold in plays that hypothesis makes up (`play.py`).

Tested, in trees of any strategy with a nested supervisor, with senders and callers that wait, time out and are cancelled,
crashes, kills, stops, slow handlers, small mailboxes of all policies, with lanes of both choices, pauses, concurrent handlers,
redelivery with and without a wait, errors that are answers, callers who take their handler along, quarantines, paced restarts,
first starts that are tried again or hang, weak addresses, timers, messages that are dropped, starts that fail, subtrees that
come and go, streams that are read by senders, by handlers, by generators and in starts:
- promise 1, SEMANTICS 21: each accepted message has exactly one end; every mailbox and the tree balance at every step
- promise 2, SEMANTICS 13, 14, 17: one sender's order is kept, nothing is handled twice (unless redelivery was asked for), no
  two lives and no two handlers of an actor overlap (but those that are marked), and a send that failed or was cancelled was
  never accepted
- SEMANTICS 81, 22: a reader has each item once and in order, of one generator; a generator is closed once, in its actor's task,
  before its life is over; nothing is begun again of which anything was read; nothing is left of a stream; whoever waits for
  itself through a reader is told
- promise 3: no call outlives its callee: each caller has got exactly one outcome when the tree has ended
- promise 7: nothing is left when the tree has ended

In short, 100 plays on each backend, others on each CPython. What this leaves out, 20,000 of each:

    HYPOTHESIS_PROFILE=long pytest tests/tree/test_account_property.py
"""

from __future__ import annotations

import pytest

from tests.fresh_process import in_a_fresh_process
from tests.long_form import LONG, SEED
from tests.side_by_side import begun, side_by_side

__all__ = ("begun",)

EXAMPLES = 20_000 if LONG else 100


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@side_by_side
def test_the_promises_hold_whatever_happens(backend: str) -> None:
    plays = ["--backend", backend, "--examples", str(EXAMPLES), "--least", "0", "--seed", str(SEED)]
    done = in_a_fresh_process("-m", "tests.tree.plays", *plays)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{EXAMPLES} plays on {backend}, none broke a promise" in done.stdout
