"""For tests of actors: virtual time, recorded events, crashes on purpose, stories in words, a fake address, restarts.

The fixtures are in `supervise_pytest`, which pytest finds by itself; the tests for an address or a queue of your own are in
`supervise.testing.contract`. Nothing else of the package imports this, and it needs nothing but what the package needs; on
trio, trio. It may import `tree/` and what is below it, and no leaf beside it. Start reading with `recording.py`.
"""

from . import virtual_time
from .chaos import Chaos, Strike, chaos
from .fake_address import FakeAddress, Sent
from .holders import Holder, holders, watch_addresses
from .recording import Heard, Recording, record
from .sabotage import Sabotage, Trap, crash_on
from .story import assert_story
from .survives import NotSurvived, call, survives
from .virtual_time import at_rest, settle

__all__ = (
    "Chaos",
    "FakeAddress",
    "Heard",
    "Holder",
    "NotSurvived",
    "Recording",
    "Sabotage",
    "Sent",
    "Strike",
    "Trap",
    "assert_story",
    "at_rest",
    "call",
    "chaos",
    "crash_on",
    "holders",
    "record",
    "settle",
    "survives",
    "virtual_time",
    "watch_addresses",
)
