"""The command line: `supervise run`, `tree`, `explain`, `columns` and `demo`.

It stands above the public face, and is its user: it may import everything, and nothing imports it. Start with `main.py`.
"""
