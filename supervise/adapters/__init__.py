"""What exists already, as children of a tree. Each kind has a module of its own, which `import supervise` doesn't load.

Each makes a `Factory`: `child(thread(consume, queue), name="consumer")`, or `await app.start(thread(consume, queue))`. This
room may import `tree/` and what is below it, and no leaf beside it. Start reading with `thread.py`; what all adapters do
beside their messages goes through `tree/work.py`.
"""
