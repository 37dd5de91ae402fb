"""Commands that look at a tree that runs, and handle it: `ps`, `tree`, `explain`, `events`, `logs`, `restart` and the others.

Start reading with `command.py`.
"""
