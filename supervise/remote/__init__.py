"""Links to other processes: an address goes on meaning the same thing when its actor is over there.

This room may import `wire/`, `tree/` and what is below them. Extra `[remote]`. Start reading with `peer.py`, which is one
connection, and `link.py`, which is what outlives it.
"""
