"""What a test left behind is found by what users have, too: `supervise.testing.left_over`."""

from supervise.testing.left_over import Watch, threads_since, watch

__all__ = ("Watch", "threads_since", "watch")
