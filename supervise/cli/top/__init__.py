"""`supervise top`: a running tree in a terminal. Start reading with `command.py`, then `app.py`.

What is drawn comes from `supervise/live/`, as lines of pieces with a meaning each; `supervise ps` prints the same ones.
Only `command.py` and `once.py` may be imported where Textual isn't installed.
"""
