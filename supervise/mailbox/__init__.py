"""What outlives an actor: its mailbox, the lanes in it, the envelopes that wait, and the account of what became of each.

It also declares what watches an actor from within (`instrument.py`) and who may look at it from outside (`observers.py`). A
mailbox knows an incarnation only as a turn (`turn.py`). This room may import the vocabulary (`events`, `errors`, `message`),
`_backends` and `supervise_strategies`. Start reading with `lane.py`, how a message comes in; then `mailbox.py`.
"""
