"""For tests of actors: virtual time, recorded events, crashes on purpose, fake addresses.

Begin with `survives`: does an actor's next life know what its last one did? Then, for a
tree in a test:

- `record` (or a `Recording` as `listener=`) keeps its events; `assert_story` says in words what they have to be.
- `crash_on` crashes one actor at one message; `chaos` crashes any of them, by a seed.
- `FakeAddress` stands in for an actor where the code that writes to it is tested.
- `FakeNetwork` is connections within one process, for links to others; it breaks when the test says so.
- `virtual_time` lets hours pass in no time; `at_rest` and `settle` wait until all has happened.
- `holders` and `watch_addresses` say who keeps an actor alive.

The fixtures are in `supervise_pytest`, which pytest finds by itself. The tests for an
address or a queue of your own are in `supervise.testing.contract`.

Nothing else of the package imports this, and it needs nothing but what the package needs;
on trio, trio. It may import `tree/` and what is below it, and no leaf beside it. Start
reading with `recording.py`.
"""

from . import virtual_time
from .chaos import Chaos, Strike, chaos
from .fake_address import FakeAddress, Sent
from .fake_link import FakeNetwork
from .holders import Holder, holders, watch_addresses
from .recording import Heard, Recording, record
from .sabotage import Sabotage, Trap, crash_on
from .story import assert_story
from .survives import NotSurvived, call, survives
from .virtual_time import at_rest, settle

__all__ = (
    "Chaos",
    "FakeAddress",
    "FakeNetwork",
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
