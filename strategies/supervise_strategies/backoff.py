"""One child's failures in a row: how long it waits before it comes back, and when its own patience is spent."""

from __future__ import annotations

from typing import NamedTuple

from .kind import is_of
from .restart import Draw, Restart, retry_state


class Answer(NamedTuple):
    """What the policies say of one failure."""

    delay: float
    enough: bool
    """`stop=` says that the row is long enough."""
    raised: BaseException | None = None
    """By `wait=` or `stop=`, which then decided nothing."""


class Backoff:
    """Counts one child's failures in a row: how long it waits before it comes back.

    The count is kept per child and never in the policy: a policy object may be shared by
    children, their counts may not. "In a row" ends with a life of at least `healthy_after`
    seconds, not with a start that succeeded. The delay between two lives isn't uptime, and
    heals nothing.

        >>> from tenacity import wait_exponential
        >>> backoff, policy = Backoff(), Restart.permanent(wait=wait_exponential())
        >>> def draw(wait, state):
        ...     return float(wait(state))
        >>> [backoff.failed(policy, now, None, draw).delay for now in (0, 9, 18)]
        [1.0, 2.0, 4.0]
    """

    __slots__ = ("attempts", "first")

    def __init__(self) -> None:
        self.attempts: int = 0
        self.first: float = 0.0

    def copy(self) -> Backoff:
        """Another one with the same count."""
        other = Backoff()
        other.attempts, other.first = self.attempts, self.first
        return other

    def begin_anew(self) -> None:
        """The row is over: the next failure is the first of another one."""
        self.attempts = 0

    def failed(self, policy: Restart, now: float, error: BaseException | None, draw: Draw, *, counted: bool = True) -> Answer:
        """Count a failure at `now`; answer the delay in seconds, and whether it is enough.

        `policy.stop` says when it is. `draw` asks the wait policy for its delay, so that chance
        comes from outside. A negative delay counts as none. Each policy is asked, also when the
        other has raised, or gave what is no number. What they raise is in the answer, and raised by
        nobody. With `counted=False` it waits as after the last failure, and the row grows no longer.
        """
        if not self.attempts:
            self.first = now
        attempt = self.attempts + 1 if counted else max(1, self.attempts)
        if counted:
            self.attempts = attempt
        if policy.wait is None and policy.stop is None:
            return Answer(0.0, False)
        state = retry_state(error, attempt=attempt, first=self.first, now=now)
        delay, enough, raised = 0.0, False, None
        try:
            delay = max(0.0, draw(policy.wait, state)) if policy.wait is not None else 0.0
        except BaseException as failure:
            raised = failure
        state.upcoming_sleep = delay
        try:
            enough = policy.stop is not None and bool(policy.stop(state))
        except BaseException as failure:
            if raised is None or is_of(raised, Exception):  # a KeyboardInterrupt means more, whichever raised it
                raised = failure
        return Answer(delay, enough, raised)
