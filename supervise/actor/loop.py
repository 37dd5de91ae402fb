"""The loop of an actor: one message at a time, in the actor's own task, over one incarnation after another.

The task runs one incarnation after the other, as long as they can share it. What a handler raises is either an answer to its
caller, after which the loop goes on, or the end of the incarnation.
"""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# In the one flat loop below pyright loses types that are declared; mypy has them.

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType, MethodType
from typing import TYPE_CHECKING, Any

from supervise._backends import give, is_cancellation
from supervise.mailbox.bad_call import bad_call
from supervise.mailbox.handler import (
    ASYNC_CONTEXT_MANAGER,
    CONTEXT_MANAGER,
    Concurrency,
    awaitable,
    class_of,
    resolve,
    resolve_beside,
    table_for,
    unfinished_result,
)
from supervise.mailbox.lane import LOW
from supervise.mailbox.turn import CURRENT, set_turn
from supervise_strategies.exit_reason import NORMAL
from supervise_strategies.kind import is_of

from .beginning import build, enter
from .budget import BATCH, START
from .cancellation import enter_kill_scope, is_being_closed, leave_cancelled_scope, leave_kill_scope
from .clean_context import InCleanContext, differs, put_back
from .concurrent_handlers import ConcurrentHandlers
from .ending import finish, go_out_of_service, leave, rescue
from .incarnation import Incarnation, NurseryTurn
from .judgement import go_on, left_of, refuse, settle

if TYPE_CHECKING:
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.handler import Table
    from supervise.mailbox.instrument import Find
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.message_queue import MessageQueue

    from .carrier import Carrier
    from .first_step import FirstStep

_kind_of: Callable[[object], Any] = type


def spawn(
    incarnation: Incarnation,
    over: Callable[[], object] | None = None,
    *,
    context: Context | None = None,
    error: BaseException | None = None,
) -> None:
    """Begin a task of its own. Without a context, in which it has begun already, maybe with this error, it has an empty one."""
    mailbox = incarnation.mailbox
    if context is None:
        context = Context()
    # The task is known before it runs: one that is cancelled until then runs nothing. The whole path would be 60 bytes more.
    run = partial(live, incarnation, mailbox, context, error=error)
    incarnation.task = mailbox.backend.spawn(run, context, mailbox.name, over)


async def live(
    following: Incarnation | None,
    mailbox: Mailbox,
    context: Context,
    carrier: Carrier | None = None,
    error: BaseException | None = None,
    begun: FirstStep | None = None,
) -> None:
    """Run an incarnation on its mailbox, and its successors as long as they can share the task, which runs in that context.

    With a carrier, until it idles; without, the task is its own until its end. `error`: its start has failed already. `begun`:
    a message is in hand, and its handler has made its first step. It is flat: each nested frame costs 140 to 400 bytes.
    """
    backend = mailbox.backend
    task = backend.current_task()
    context = backend.context_of(task, context)
    seen: Context = context  # as it was when somebody last looked whether a handler has set a variable
    clean: Context | None = None  # as it was before the first message, once one has
    envelope: Any = None
    handler: Any = None
    is_coroutine: Any = False
    known: Any = None  # the handler that `bound` is of, within a batch
    bound: Any = None
    args: Any = None
    kwargs: Any = None
    reply: Any = None
    options: Any = None
    last: Any = None  # the handler that it was of before; the class has both
    name: Any = ""
    attribute: Any = None
    kind: Any = None
    function: Any = None
    result: Any = None
    find: Find = resolve
    actor: Any = None
    table: Table = {}
    while following is not None:
        life: Incarnation = following
        try:
            set_turn(life)
            clean = None
            if carrier is None and context.get(CURRENT) is not life:  # the loop's task factory gave it another one
                context = clean = copy_context()
            elif carrier is not None and life.running and len(context) != 1:  # its last message was handled in one step
                clean = Context()
                clean.run(set_turn, life)
                put_back(context, clean)
            life.task = task
            if carrier is not None and (carrier.scope is not None or life.kill_scope is None):
                life.kill_scope, carrier.scope = carrier.scope or carrier.enter_scope(), None
            if error is None and not life.running:
                if life.extras.made is None:
                    error = build(life)
                    if carrier is not None:
                        carrier.queue.budget.left -= START
                if life.extras.made is not None:
                    if carrier is not None:  # it has a scope of its own around all of it
                        carrier.becomes_its_own(life)
                        carrier = None
                        leave_kill_scope(life, None)
                    error = await enter(life)
                if clean is not None and clean is context:  # with what factory and hook have set
                    context = clean = copy_context()
            instance = life.instance
            kind = class_of(instance)
            if kind is not actor or mailbox.instrument is not None:  # else the last life has found it
                actor = kind
                find = resolve if mailbox.options.concurrency is None else resolve_beside
                found: Any = life.table  # held by it: it lasts as long as there is an actor of the class
                if mailbox.instrument is not None:
                    found, find = mailbox.instrument.finder(life, find, found)
                elif found is None:
                    found = table_for(actor) if mailbox.options.concurrency is None else {}
                table = found
            life.table = table
            last = function = attribute = kind = None
            left = BATCH if carrier is None else max(1, carrier.queue.budget.left)  # what is chosen below has to be taken
            seen = context.copy()
            if begun is not None:
                error = await go_on(life, begun)
                begun = None
                if differs(context, seen, life.pass_up):
                    clean = clean or seen
                    seen = put_back(context, clean)
            while error is None:
                queue = mailbox.queue
                batch = len(queue)
                if mailbox.attention:
                    looked = _look(life)
                    if looked is None:
                        break
                    queue, batch = looked
                if not batch:
                    lifetime = mailbox.lifetime
                    if lifetime is not None and not lifetime.open and not mailbox.waiting and not mailbox.reserved:
                        if not life.busy_beside:
                            life.own_extras().stop_reason = life.extras.stop_reason or NORMAL
                            break
                        mailbox.attention = True  # so that it is woken when that is over
                    if carrier is not None:
                        if not carrier.can_be_shared():
                            carrier.becomes_its_own(life)
                            carrier = None
                        elif not carrier.keeps(life):
                            carrier.scope, life.kill_scope = life.kill_scope, None
                            life.task = None
                            mailbox.waker = life
                            return
                    mailbox.waker = waker = backend.future()
                    try:
                        await waker
                    except backend.cancelled as raised:  # its own task group crashed behind it, or somebody cancelled natively
                        mailbox.waker = None
                        error = raised
                    if carrier is not None:
                        carrier.keeps_no_more()
                    left = BATCH
                    continue
                done = 0
                for done in range(1, min(batch, left) + 1):  # noqa: B007 - counted after a break
                    try:
                        life.in_hand = envelope = queue.popleft()
                    except BaseException as raised:  # a queue of the user's own; or somebody took out what was there
                        life.in_hand = None
                        if len(queue) or not is_of(raised, IndexError):
                            error = raised
                        break
                    handler, args, kwargs, reply, _, options = envelope
                    if (reply is not None and reply.done()) or (options is not None and not options.still_wanted(backend.now)):
                        life.in_hand = None
                        mailbox.abandon(life.extras.lane or mailbox, envelope)
                        continue
                    if options is not None and options.stream is not None:
                        handler = options.stream
                    try:
                        if handler is not known:
                            known = None
                            try:
                                if handler is not last:
                                    function, is_coroutine, name, attribute, _ = table[handler]
                                if getattr(actor, name) is not attribute:  # the class has changed
                                    last = None
                                else:
                                    last = handler
                            except Exception:  # not asked for before, without a hash, or gone from the class
                                last = None
                            if last is None:
                                function, is_coroutine, name, attribute, _ = find(actor, table, handler)
                                backend.lets_interrupt(function if attribute is None else attribute)
                            bound = MethodType(function, instance)  # `function(instance, *args)` would copy args: 50 of 300 ns
                            if clean is not None:
                                bound = InCleanContext(clean, bound, backend.context_here)
                            known = handler
                        if is_coroutine is True:  # each way is written out: a common call would be asked of once more, 10 ns
                            result = bound(*args, **kwargs) if kwargs else bound(*args)
                            if life.kill_scope is None:
                                enter_kill_scope(life)
                            result = await result
                        elif is_coroutine is False:
                            result = bound(*args, **kwargs) if kwargs else bound(*args)
                            if result is not None and awaitable(result):
                                if life.kill_scope is None:
                                    enter_kill_scope(life)
                                result = await result
                        else:
                            begun_beside = (clean or seen).copy().run(_begin, life, is_coroutine, envelope, function)
                            if begun_beside and not mailbox.attention:
                                continue
                            break
                    except BaseException as raised:
                        if issubclass(_kind_of(raised), GeneratorExit) and is_being_closed(life):
                            raise
                        error = left_of(life, envelope, raised, found=known is not None)
                        if error is not None:
                            if not issubclass(_kind_of(error), Exception) and is_cancellation(error, backend.cancelled):
                                error = leave_kill_scope(life, error)
                            break
                    else:
                        if reply is None:
                            mailbox.handled += 1
                        elif reply.done():
                            mailbox.handled += 1
                            (life.extras.lane or mailbox).given_up -= 1
                            leave_cancelled_scope(life)
                        elif result is not None and (  # a function of its own for this would cost a call 50 ns of 2800
                            (kind := _kind_of(result)) is GeneratorType
                            or kind is AsyncGeneratorType
                            or kind is CoroutineType
                            or kind is CONTEXT_MANAGER
                            or kind is ASYNC_CONTEXT_MANAGER
                        ):
                            life.in_hand = None
                            refuse(mailbox, life.extras.lane or mailbox, envelope, unfinished_result(handler, result))
                        else:
                            mailbox.handled += 1
                            try:  # for `give`, without its frame
                                reply.set_result(result)
                            except Exception:
                                (life.extras.lane or mailbox).given_up -= not give(reply, result)
                    try:
                        changed = context != seen
                    except BaseException:  # by an equality of the user's, which `differs` asks again
                        changed = True
                    if changed and differs(context, seen, life.pass_up):
                        clean, known = clean or seen, None
                        seen = put_back(context, clean)
                    if mailbox.attention:
                        break
                if error is None:
                    life.in_hand = None
                if carrier is not None and reply is not None and is_coroutine is True and backend.enter is None:
                    carrier.waited = True  # it may be called again soon, and could answer only so
                # An idle loop must not pin the last message: an address sent as an argument would stay strong.
                # What it asked for last time is kept, if the class has it: the next call often asks for the same.
                envelope = handler = known = bound = args = kwargs = reply = options = kind = result = None
                if last is None:
                    function = attribute = None
                if mailbox.credits < LOW:
                    mailbox.replenish()
                left -= done
                if carrier is not None:
                    carrier.queue.budget.left = left = carrier.queue.budget.left - done
                if left <= 0 and error is None:
                    try:
                        if carrier is None:
                            left = BATCH
                            await backend.checkpoint()
                        else:
                            left = await carrier.queue.budget.turn(backend)
                    except backend.cancelled as raised:
                        error = leave_kill_scope(life, raised)
            del instance
            if life.running:
                go_out_of_service(life, error)
            extras = life.extras
            if extras.tasks is not None or extras.life_scope is not None or extras.concurrent is not None:
                error = await leave(life, error)
            following = finish(life, error, carrier)
            error = None
        except BaseException as raised:  # nothing of ours raises, and a fact that is lost leaves a tree that hangs
            if is_of(raised, GeneratorExit) and is_being_closed(life):
                raise
            following = await rescue(life, raised)
            error = begun = None


def _look(life: Incarnation) -> tuple[MessageQueue, int] | None:
    """Look around: where the next messages come from, and how many at once. None: a flag says to end."""
    mailbox = life.mailbox
    mailbox.answer_pings()
    if life.extras.checkpoints is not None:
        life.extras.checkpoints.look()
    connecting = life.extras.connecting
    if life.signal and (connecting or not (life.extras.draining and (mailbox.has_work(draining=True) or life.busy_beside))):
        return None
    if connecting:
        return mailbox.queue, 0
    held_up = None if life.extras.concurrent is None else life.extras.concurrent.held_up
    if mailbox.plain and not held_up:
        mailbox.attention = life.signal
        if mailbox.waiting_senders is not None:
            mailbox.admit(leaving=1 if mailbox.queue else 0)
        return mailbox.queue, len(mailbox.queue)
    lost = mailbox.lifetime is not None and not mailbox.lifetime.open  # nobody is left who could resume it
    if mailbox.extras.paused and not life.signal and not lost:
        mailbox.rest()
        return mailbox.queue, 0
    if life.extras.throttle_timer is not None:
        life.extras.throttle_timer.cancel()
        life.extras.throttle_timer = None
    rest = mailbox.hold_back()
    if rest > 0:
        backend = mailbox.backend
        life.own_extras().throttle_timer = backend.call_at(backend.now() + rest, mailbox.wake)
        return mailbox.queue, 0
    held_back = {} if not mailbox.extras.held_back_until or life.extras.draining else mailbox.held_back()
    # Only now: a lane that is chosen and not served would have had its turn.
    lane = mailbox.choose((*(held_up or ()), *held_back), draining=life.extras.draining)
    if lane is None:
        if held_back:
            life.own_extras().throttle_timer = mailbox.backend.call_at(min(held_back.values()), mailbox.wake)
        return mailbox.queue, 0
    lane.mailbox.count_begun()
    mailbox.tally_next(lane)
    life.own_extras().lane = lane
    lane.admit(leaving=1)
    if lane is not mailbox:
        lane.replenish()
    return lane.queue, 1


def _begin(life: Incarnation, concurrency: Concurrency, envelope: Envelope, function: Any) -> bool:
    """Hand a message over to those that run beside others; False: it waits in its lane, as there is no place for it yet.

    The function is called here, once there is a place, so what doesn't fit it is as with any handler. A decorator that answers
    by itself, as a cache does, has answered; what it raises is isolated as what the handler raises.
    """
    lane, (_, args, kwargs, *_) = life.extras.lane or life.mailbox, envelope
    extras = life.own_extras()
    if extras.concurrent is None:
        limit = life.mailbox.options.concurrency
        extras.concurrent = ConcurrentHandlers(partial(NurseryTurn, life), partial(settle, life), life.fail_first, limit)
    begun = extras.concurrent.has_place(concurrency, lane)
    if begun:
        result: Any = None
        failure: Exception | None = None
        try:
            result = function(life.instance, *args, **kwargs)
        except Exception as error:
            misfit = type(error) is TypeError and bad_call(class_of(life.instance), envelope, error) is not None
            if misfit or not concurrency.isolate:
                raise
            failure = error
        if failure is None and awaitable(result):
            extras.concurrent.begin(concurrency, lane, envelope, result)
        else:
            life.in_hand = None
            settle(life, lane, envelope, result, failure, concurrency.isolate)
    else:
        life.mailbox.attention = True
        options = envelope[5]
        if options is not None and options.source is not None:
            options.source._put_back(options)
        if options is not None and options.deadline is not None:
            options.deadline.put_back()
        life.mailbox.not_begun(lane, envelope)
        lane.put_back(envelope)
    life.in_hand = None  # only now: what a queue of the user's own raises is a crash with the message in hand
    return begun
