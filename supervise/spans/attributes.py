"""The keys of telemetry: one list for spans and metrics of what is said under `supervise.`, and of the errors.

`messaging.*`, `rpc.*`, `error.type` and `code.*` are OpenTelemetry's own; what they don't have is under `supervise.`.
"""

from __future__ import annotations

from typing import Final

from supervise._version import version

SCOPE: Final = "supervise"
"""The name of the instrumentation scope."""
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The version of OpenTelemetry's semantic conventions that its own keys are taken from."""

ACTOR_PATH: Final = "supervise.actor.path"
"""The full path, from the root on. What to search for: it finds an actor's whole life. Never on a metric."""
ACTOR_TYPE: Final = "supervise.actor.type"
"""The class of the actor: the same for all that are made alike."""
ACTOR_ID: Final = "supervise.actor.id"
ACTOR_INCARNATION: Final = "supervise.actor.incarnation"
"""Which life, from 1."""
ACTOR_STATE: Final = "supervise.actor.state"
ACTOR_LIFETIME: Final = "supervise.actor.lifetime"
"""Seconds."""
SENDER_TYPE: Final = "supervise.sender.type"
"""The class of the actor that calls or sends, on the span of the call or send; absent when it comes from outside."""
SUPERVISOR_PATH: Final = "supervise.supervisor.path"
DROP_COUNT: Final = "supervise.drop.count"
"""How many messages were lost that have no span of their own."""
HOPS: Final = "supervise.hops"
"""Which send of its chain it is, from the second on: each is made by the handler that the one before has set off."""
LINK_FAR: Final = "supervise.link.far"
"""Who is at the other end of a link, in words. Never on a metric."""
LINK_DIRECTION: Final = "supervise.link.direction"
"""`out` or `in`."""
LINK_MESSAGE: Final = "supervise.link.message"
"""`call` or `send`."""
LINK_STATE: Final = "supervise.link.state"
"""`connected` or `connecting`."""
LOSS: Final = "supervise.loss"
"""Why a message is lost: `full`, `stopped`, `in_hand`, `overran`, `spent`, `refused`, `late`, `by_hand`."""
MAILBOX_DEPTH: Final = "supervise.mailbox.depth"
MAILBOX_WAIT: Final = "supervise.mailbox.wait"
"""Seconds that the message waited."""
MAILBOX_DROPPED: Final = "supervise.mailbox.dropped"
MESSAGE_OUTCOME: Final = "supervise.message.outcome"
OPERATOR: Final = "supervise.operator"
"""The person who asked for it."""
OUTCOME: Final = "supervise.outcome"
REASON: Final = "supervise.reason"
RESTART_ALLOWED: Final = "supervise.restart.allowed"
"""How many restarts are allowed in the window that counts them."""
RESTART_DELAY: Final = "supervise.restart.delay"
"""Seconds."""
RESTART_NUMBER: Final = "supervise.restart.number"
"""Which restart of this child it is, from 1."""
RESTART_STRATEGY: Final = "supervise.restart.strategy"
RESTART_USED: Final = "supervise.restart.used"
"""How many restarts there are in the window, this one included. One more than are allowed, and the supervisor gives up."""
START_REASON: Final = "supervise.start.reason"
STOP_REASON: Final = "supervise.stop.reason"
TRIGGER: Final = "supervise.trigger"

ERROR_TYPE: Final = "error.type"


def scope() -> tuple[str, str, str]:
    """Name, version and schema URL of the instrumentation scope, as `get_tracer` and `get_meter` take them."""
    return SCOPE, version(), SCHEMA_URL
