"""How an actor is reached: strong and weak addresses, recipients, views with options, streams, and other threads.

All of them are views of one mailbox, and none knows the actor. This room may import `mailbox/` and what is below it. Start
reading with `address.py`; `address_like.py` is what a signature asks for, apart from any implementation.
"""
