"""What exists already, as children of a tree. Each kind has a module of its own, which `import supervise` doesn't load.

Each makes a `Factory`: `child(thread(consume, queue), name="consumer")`, or `await app.start(thread(consume, queue))`.
"""
