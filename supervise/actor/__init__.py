"""One life of an actor: how it begins, its loop, how it ends; and what it has beside its handlers: nursery, timers, readers.

Whoever keeps an actor over its lives (a place in a tree, or the runner of an open mailbox) is only known as its `Owner`. This
room may import `address/` and what is below it. Start reading with `incarnation.py`, then `loop.py`: a message comes in there;
a crash goes on to `ending.py`.
"""
