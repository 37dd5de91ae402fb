"""The command line: `supervise run`, `tree`, `explain`, `columns` and `demo`.

It stands above everything: it may import all rooms and the public face, and nothing imports it. Start with `main.py`.
"""
