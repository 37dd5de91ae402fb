"""Everything that this package raises on purpose.

SuperviseError
├── SendError                     the message wasn't accepted; it is attached as `.message`
│   ├── MailboxFull               no room, and the policy or `try_send` doesn't wait
│   ├── SendTimeout (also TimeoutError)  the deadline passed while it waited for room
│   ├── MailboxClosed             the actor is gone for good; get a new address
│   └── TooLarge                  more bytes than may cross to another process at once
├── CallError                     the call was accepted, and there will be no reply
│   ├── ActorCrashed              the handler raised; `__cause__` is what it raised
│   ├── MessageDropped            a full mailbox dropped it (`overflow="drop_..."`), or somebody took it out
│   ├── ActorRestarting           `on_restart="fail"`: the actor crashed while the call waited
│   ├── CallTimeout (also TimeoutError)  the deadline passed while it was queued, or in hand
│   ├── CallCycle                 the call would wait for itself
│   ├── CallTooDeep               it is the last of too many calls over links that wait for each other
│   ├── BadMessage                a value isn't of the type that its interface declares
│   └── BadReply                  the result isn't, or can't cross
├── OutcomeUnknown                the connection ended while the call was on its way, or over there: nobody knows
├── ActorStopped                  (a SendError and a CallError) stopped, but listed: it may be started again
├── UnknownHandler                the live instance has no such handler
│   └── NotServed                 the other side of a link doesn't serve it, or another one under this name
├── BadCall (also TypeError)      the arguments don't fit the handler's signature; the actor lives on
├── NotAHandler (also TypeError)  what was given to call, send or stream_from can't be one
├── HandlerLate                   (also TimeoutError) a handler overran its `handler_deadline`: the cause of the crash
├── StartLate                     (also TimeoutError) a start overran its `start_within`: the cause of a start that failed
├── SubscriberTooSlow             a subscription with `overflow="close"` was full
├── WrongThread (also RuntimeError)   an address belongs to the thread of its event loop; from_thread is for others
├── WrongLoop (also RuntimeError)     another event loop runs here, or its own is closed
├── WrongProcess (also RuntimeError)  the process was forked off, and has a copy that nobody runs
├── WouldDeadlock                 an actor can't wait for what waits for it: its own stop, or its own start
├── NoActor                       `current()` outside of an actor
├── Unsupervised                  the actor has no supervisor to ask
├── RemoteError                   an exception of another process, as text
├── ConnectionLost                a link's connection ended without a word: why the link crashed
├── ProtocolError                 the other side of a link broke a rule, which it names: why the link crashed
├── IgnoreStart                   raised by a factory or enter hook: don't start me, this is no error
├── StartFailed                   the tree didn't start; `__cause__` says why
└── GaveUp                        the tree ended: too many restarts; `.crashes` is the chain of ends that led there

TimeoutError                      the builtin: every deadline's error is one
StrategyError                     what a supervision decision refuses; its tree is in `supervise_strategies.errors`
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from .message import name_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .events import Decided
    from .frame import Frame
    from .message import Message


class SuperviseError(Exception):
    """The base of all errors of this package but those of `supervise_strategies`.

    A message that was refused, or given up, is attached as `.message`, as its sender gave it.
    So it can be sent once more. `StrategyError` is the base of the others: what a supervisor
    refuses.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     try:
    ...         await names.call(dict.keys)
    ...     except SuperviseError as error:
    ...         error.message
    <Message dict.keys()>
    """

    def __init__(self, text: str = "", message: Message | None = None) -> None:
        super().__init__(text)
        self.message: Message | None = message


class SendError(SuperviseError):
    """The message wasn't accepted.

    Nothing was lost: it is attached as `.message`, and can be sent to somebody else.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await app.terminate_child(names)
    ...     try:
    ...         await names.send(list.append, "ada")
    ...     except SendError as error:
    ...         error.message
    <Message list.append('ada')>
    """


class MailboxFull(SendError):
    """There was no room in the mailbox, and nobody was to wait for it.

    `try_send` never waits, so it raises this. So do `send` and `call` with `overflow="reject"`.
    The default, `overflow="wait"`, makes them wait.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list, capacity=1, overflow="reject")
    ...     names.pause()
    ...     await names.send(list.append, "ada")
    ...     await names.send(list.append, "bob")
    Traceback (most recent call last):
    MailboxFull: the mailbox of app/list is full (1 message waits), and doesn't take
        list.append: overflow='reject'; 'wait' waits for room
    """


class MailboxClosed(SendError):
    """The actor is gone for good, or this address was closed.

    It never works again. A later child of the same name has a new mailbox: ask for its address.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list, restart="temporary")
    ...     await app.terminate_child(names)
    ...     await names.send(list.append, "ada")
    Traceback (most recent call last):
    MailboxClosed: app/list is gone for good, and doesn't get list.append: find or start its
        successor, and use that address
    """


class TooLarge(SendError):
    """The message has more bytes than may cross to another process at once.

    It is raised at its sender, and nothing was sent. What is large is better sent by reference.

    >>> from supervise.remote import dial
    >>> from supervise.testing import FakeNetwork
    >>> from supervise.wire import Interface
    >>> class Shop:
    ...     async def picture(self, data: bytes) -> None: ...
    >>> SHOP = Interface("shop", Shop)
    >>> link = dial(FakeNetwork().connect, uses=[SHOP])
    >>> async with Supervisor("web", link) as web:
    ...     await SHOP.over(web.find(link)).send(Shop.picture, bytes(100_000))
    Traceback (most recent call last):
    TooLarge: Shop.picture(bytes) has 100011 bytes, and at most 65024 may cross at once:
        send less, or a reference to it
    """


class CallError(SuperviseError):
    """The call was accepted, and there will be no reply.

    `.begun` says whether a handler had begun with it, and so may have done some of its work.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     try:
    ...         await names.call(list.pop)
    ...     except CallError as error:
    ...         error.begun
    True
    """

    begun: bool = False
    """Whether a handler had begun with it, and so may have done some of its work; else nothing was done."""


class ActorCrashed(CallError):
    """The handler raised, or the actor crashed while it handled the call.

    `__cause__` is the exception itself. The address stays valid: its next life goes on with
    what waits. What is an answer rather than a crash is said with `expects=`, or
    `on_error="reply"`.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await names.call(list.pop)
    Traceback (most recent call last):
    ActorCrashed: app/list #1 crashed with list.pop in hand: IndexError: pop from empty list
    """

    begun = True

    def __init__(self, path: str, incarnation: int, what: str, message: Message | None = None) -> None:
        held = "" if message is None else f" with {name_of(message.handler)} in hand"
        super().__init__(f"{path} #{incarnation} crashed{held}: {what}", message)
        self.path: str = path
        self.incarnation: int = incarnation


class MessageDropped(CallError):
    """The call was taken out of the mailbox before its handler began.

    An overflow policy dropped it, or somebody did by hand (`Address.drop`, `Address.take`).

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list, capacity=1, overflow="drop_newest")
    ...     names.pause()
    ...     await names.send(list.append, "ada")
    ...     await names.call(list.copy)
    Traceback (most recent call last):
    MessageDropped: app/list dropped list.copy(): the mailbox was full
        (overflow='drop_newest')
    """


class ActorRestarting(CallError):
    """The actor is between two lives, and the call asked not to wait.

    Without `options(on_restart="fail")` a call waits, through any number of restarts. With it,
    it raises when the actor is down as it comes, or crashes while it is queued.

    >>> from tenacity import wait_fixed
    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list, restart=Restart.permanent(wait=wait_fixed(1)))
    ...     await names.send(list.pop)
    ...     await names.send(list.append, "ada")
    ...     await names.options(on_restart="fail").call(list.copy)
    Traceback (most recent call last):
    ActorRestarting: app/list is restarting, and the call list.copy() doesn't wait:
        on_restart='wait' lets it wait for the next life
    """


class ActorStopped(SendError, CallError):
    """The actor is stopped, but its supervisor lists it still.

    The address works again when it is started again: by `restart_child`, or by an operator.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await app.terminate_child(names)
    ...     await names.call(list.copy)
    Traceback (most recent call last):
    ActorStopped: app/list is stopped, and doesn't get list.copy: restart_child(), or
        operator(…).restart(), starts it again on this mailbox
    """


class CallCycle(CallError):
    """The call would wait for itself: each actor of the cycle waits for the next one.

    `.cycle` holds their paths. It is raised at once, in the handler that closes the cycle.

    So it is for a call to an actor whose stream waits for the calling task to read on. If that
    task is none of an actor's own, the last of the cycle waits for it.

    >>> class Echo:
    ...     async def ask(self):
    ...         return await current().address.call(Echo.ask)
    >>> async with Supervisor("app") as app:
    ...     echo = await app.start(Echo, expects=(CallCycle,))
    ...     await echo.call(Echo.ask)
    Traceback (most recent call last):
    CallCycle: app/echo -> app/echo: this call of Echo.ask would wait for itself for ever;
        use send, or call from a task of current().nursery
    """

    def __init__(self, cycle: Sequence[str], message: Message | None = None, *, reader: bool = False) -> None:
        call = "this call" if message is None else f"this call of {name_of(message.handler)}"
        cure = "use send, or call from a task of current().nursery"
        if reader:
            call, cure = f"{call}, by that reader,", "use send, call from another task, or leave the stream's block first"
        path = " -> ".join([*cycle, "the reader of its stream"] if reader else cycle)
        super().__init__(f"{path}: {call} would wait for itself for ever; {cure}", message)
        self.cycle: tuple[str, ...] = tuple(cycle)


class CallTooDeep(CallError):
    """It would be the last of too many calls over links, each of which waits for the next one.

    A call over a link is one deeper than the message whose handler makes it. Local calls, and
    tasks of the nursery, pass the depth on.
    How deep they may be is `Limits.depth` of `supervise.remote`.

    >>> issubclass(CallTooDeep, CallError)
    True
    """


class BadMessage(CallError):
    """A value isn't of the type that its interface declares, or is of none that can cross.

    The text says where in the message: `$.order.items[2].qty`. The actor never sees it.

    >>> from supervise.remote import dial, gate
    >>> from supervise.testing import FakeNetwork
    >>> from supervise.wire import Interface
    >>> class Shop:
    ...     async def sell(self, items: list[str]) -> None: ...
    >>> SHOP, network, shop = Interface("shop", Shop), FakeNetwork(), child(Shop)
    >>> there = Supervisor("there", shop, gate(network.listen, serves=[SHOP.by(shop)]))
    >>> link = dial(network.connect, uses=[SHOP])
    >>> async with there, Supervisor("web", link) as web:
    ...     await SHOP.over(web.find(link)).call(Shop.sell, ["tea", 7])
    Traceback (most recent call last):
    BadMessage: web/link:shop: Shop.sell: $.items[1]: Expected `str`, got `int`
    """


class BadReply(CallError):
    """The handler has answered, but with what can't cross.

    Its result isn't of the declared type, is too large, or is no plain data. It is raised at the
    caller. The actor lives on.

    >>> from supervise.remote import dial, gate
    >>> from supervise.testing import FakeNetwork
    >>> from supervise.wire import Interface
    >>> class Shop:
    ...     async def stock(self) -> int:
    ...         return "many"
    >>> SHOP, network, shop = Interface("shop", Shop), FakeNetwork(), child(Shop)
    >>> there = Supervisor("there", shop, gate(network.listen, serves=[SHOP.by(shop)]))
    >>> link = dial(network.connect, uses=[SHOP])
    >>> async with there, Supervisor("web", link) as web:
    ...     await SHOP.over(web.find(link)).call(Shop.stock)
    Traceback (most recent call last):
    BadReply: the answer of Shop.stock: $: Expected `int`, got `str`
    """

    begun = True


class OutcomeUnknown(SuperviseError):
    """The connection ended while the call was on its way, or in hand over there.

    Perhaps it was delivered, and perhaps it was handled: nobody here knows. So it is neither a
    `SendError` nor a `CallError`, and nothing is tried again by itself.

    >>> from supervise.remote import dial, gate
    >>> from supervise.testing import FakeNetwork
    >>> from supervise.wire import Interface
    >>> network = FakeNetwork()
    >>> class Shop:
    ...     async def sell(self, item: str) -> None:
    ...         network.cut()
    >>> SHOP, shop = Interface("shop", Shop), child(Shop)
    >>> there = Supervisor("there", shop, gate(network.listen, serves=[SHOP.by(shop)]))
    >>> link = dial(network.connect, uses=[SHOP])
    >>> async with there, Supervisor("web", link) as web:
    ...     await SHOP.over(web.find(link)).call(Shop.sell, "tea")
    Traceback (most recent call last):
    OutcomeUnknown: web/link: the connection ended while Shop.sell was under way (...):
        perhaps it was handled, and perhaps not: ask for what it was to change, or make it safe
        to be repeated
    """


class SendTimeout(SendError, TimeoutError):
    """The deadline of `options(timeout=…)` has passed while the message waited for room.

    It wasn't accepted, so nobody will handle it. It is a `TimeoutError`, as `CallTimeout` is.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list, capacity=1)
    ...     names.pause()
    ...     await names.send(list.append, "ada")
    ...     await names.options(timeout=5).send(list.append, "bob")
    Traceback (most recent call last):
    SendTimeout: app/list: list.append(str) found no room within 5 s: waited 5 s for room
        (it is paused)
    """


class CallTimeout(CallError, TimeoutError):
    """The deadline of `options(timeout=…)` has passed, and there was no answer.

    If nobody has begun with the call it is skipped. A handler that has begun goes on, unless
    `on_cancel="cancel"` was said. It is a `TimeoutError`.

    >>> import anyio
    >>> class Model:
    ...     async def think(self):
    ...         await anyio.sleep(60)
    >>> async with Supervisor("app") as app:
    ...     model = await app.start(Model)
    ...     await model.options(timeout=5).call(Model.think)
    Traceback (most recent call last):
    CallTimeout: app/model: Model.think() had no answer within 5 s: queued 0 s, in hand 5 s
    """


class UnknownHandler(SuperviseError):
    """The live instance has no handler of that name.

    It is the sender's fault, and the actor lives on. Of a send it is a dead letter.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await names.call(dict.keys)
    Traceback (most recent call last):
    UnknownHandler: app/list: list has no handler 'keys' (asked for dict.keys): give a plain
        function of list, or one that takes the actor
    """


class NotServed(UnknownHandler):
    """The other side of a link doesn't serve this handler, or not with this signature.

    The text has both signatures, if it serves another one under the name. It is raised too, before
    anything is sent, for a function that isn't declared by the interface.

    >>> from supervise.remote import dial
    >>> from supervise.testing import FakeNetwork
    >>> from supervise.wire import Interface
    >>> class Shop:
    ...     async def sell(self, item: str) -> None: ...
    ...     async def audit(self) -> None: ...
    >>> SHOP = Interface("shop", Shop, only=(Shop.sell,))
    >>> link = dial(FakeNetwork().connect, uses=[SHOP])
    >>> async with Supervisor("web", link) as web:
    ...     await SHOP.over(web.find(link)).send(Shop.audit)
    Traceback (most recent call last):
    NotServed: interface 'shop' has no handler Shop.audit (<function Shop.audit at ...>): name
        one of its functions, as Shop.sell; they are found by identity
    """


class BadCall(SuperviseError, TypeError):
    """The arguments don't fit the handler's signature.

    It is the sender's fault: the handler didn't run, and the actor lives on. Of a send it is a
    dead letter. It is a `TypeError`.

    >>> class Shop:
    ...     def sell(self, item, number): ...
    >>> async with Supervisor("app") as app:
    ...     shop = await app.start(Shop)
    ...     await shop.call(Shop.sell, "tea")
    Traceback (most recent call last):
    BadCall: app/shop: Shop.sell(str) doesn't fit: it takes (self, item, number); TypeError:
        Shop.sell() missing 1 required positional argument: 'number'
    """


class NotAHandler(SuperviseError, TypeError):
    """What was given to `call`, `send` or `stream_from` can't be run by an actor so.

    A handler is a function of the class, `Shop.sell`, or one that takes the actor. It is
    neither a name nor a bound method. It is raised at the sender, and nothing was sent. It is a
    `TypeError`.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await names.call("append", "ada")
    Traceback (most recent call last):
    NotAHandler: app/list: handler='append' isn't callable: give a function of the actor's
        class, or one that takes the actor
    """


class WrongThread(SuperviseError, RuntimeError):
    """It was used in another thread than that of its event loop.

    Nothing was sent or changed. The cure is `address.from_thread`. It is a `RuntimeError`.

    >>> import anyio
    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await anyio.to_thread.run_sync(names.try_send, list.append, "ada")
    Traceback (most recent call last):
    WrongThread: app/list is used in another thread than that of its event loop: use
        address.from_thread, which blocks until it is done
    """


class WrongLoop(SuperviseError, RuntimeError):
    """Another event loop runs here than the one it belongs to, or that one is closed.

    Nothing was sent or changed. Each run of a loop needs a tree of its own: keep no address in
    a global, or in a fixture of a wider scope. It is a `RuntimeError`.

    >>> import anyio, asyncio
    >>> def two_loops():
    ...     with asyncio.Runner() as first, asyncio.Runner() as second:
    ...         app = first.run(Supervisor("app", child(list)).open())
    ...         second.run(app.start(dict))
    >>> await anyio.to_thread.run_sync(two_loops)
    Traceback (most recent call last):
    WrongLoop: app: another event loop runs here, so nothing can be sent to it: each run of
        a loop needs a tree of its own
    """


class WrongProcess(SuperviseError, RuntimeError):
    """The process was forked off since: the actor lives in its parent.

    Nobody runs the copy that is here, and nothing was changed. Start the tree after the fork.
    It says: `app/list is used in a process that was forked off: the actor lives in its parent,
    and this copy of it isn't run; start the tree after the fork`.

    >>> issubclass(WrongProcess, RuntimeError)
    True
    """


class WouldDeadlock(SuperviseError):
    """The wait could never end.

    An actor would wait for its own stop; or, in its own start, for what its supervisor does
    next. `current().stop()` doesn't wait.

    >>> class Shop:
    ...     async def close(self, shop):
    ...         await shop.stop()
    >>> async with Supervisor("app") as app:
    ...     shop = await app.start(Shop, expects=(WouldDeadlock,))
    ...     await shop.call(Shop.close, shop)
    Traceback (most recent call last):
    WouldDeadlock: app/shop can't wait for its own end: use current().stop(), which doesn't
        wait
    """


class HandlerLate(SuperviseError, TimeoutError):
    """A handler took longer than the `handler_deadline` of its child, in seconds.

    It was cancelled, and this is why the actor crashed: the cause of `ActorCrashed`.

    >>> import anyio
    >>> class Model:
    ...     async def think(self):
    ...         await anyio.sleep(60)
    >>> async with Supervisor("app") as app:
    ...     model = await app.start(Model, handler_deadline=2)
    ...     await model.call(Model.think)
    Traceback (most recent call last):
    ActorCrashed: app/model #1 crashed with Model.think in hand: HandlerLate: app/model:
        Model.think() was in hand for longer than its handler_deadline of 2 s
    """

    stack: tuple[Frame, ...] = ()
    """What it was waiting in, outermost line first, as far as it could be seen."""


class StartLate(SuperviseError, TimeoutError):
    """A start took longer than the `start_within` of its child, in seconds.

    It was cancelled, and has failed. So it is the cause of `StartFailed`, or
    `ChildStartFailed`.

    >>> import anyio
    >>> async def connect():
    ...     await anyio.sleep(60)
    >>> async with Supervisor("app") as app:
    ...     await app.start(connect, start_within=2)
    Traceback (most recent call last):
    ChildStartFailed: child 'connect' didn't start: StartLate: app/connect wasn't ready
        within start_within=2 s: it waits in connect (...)
    """


class SubscriberTooSlow(SuperviseError):
    """A subscriber with `overflow="close"` didn't read in time.

    Its subscription was closed rather than values dropped. What waited in it comes first.

    >>> async with Supervisor("app") as app, app.events(capacity=1, overflow="close") as events:
    ...     await app.start(list)
    ...     await app.start(dict)
    ...     str(await events.receive())
    ...     await events.receive()
    Traceback (most recent call last):
    SubscriberTooSlow: the subscription to 'events of app' was closed: 1 value waited, and
        overflow='close'
    """


class NoActor(SuperviseError, LookupError):
    """`current()` was called outside of an actor.

    It works in handlers, hooks, the factory, and the tasks of the nursery. It is a
    `LookupError`.

    >>> current()
    Traceback (most recent call last):
    NoActor: current() only works in an actor: in its factory, hooks, handlers and the tasks
        that they start
    """


class Unsupervised(SuperviseError):
    """The actor runs on its mailbox alone: there is no supervisor and no tree to ask.

    That is so in an actor of `open_mailbox`.

    >>> mailbox, names = open_mailbox(list)
    >>> crashed = await mailbox.run(lambda: current().supervisor())
    >>> print(crashed.reason)
    crashed (Unsupervised: list runs on its mailbox alone: it has no supervisor)
    """


class RemoteError(SuperviseError):
    """An exception of another process: its type and its text, shortened.

    An exception crosses as itself only if the interface `raises` it. No traceback ever crosses.
    It is the cause of an `ActorCrashed`; or the error itself, of what was an answer over there.

    >>> from supervise.remote import dial, gate
    >>> from supervise.testing import FakeNetwork
    >>> from supervise.wire import Interface
    >>> class Shop:
    ...     async def sell(self, item: str) -> None:
    ...         raise KeyError(item)
    >>> SHOP, network = Interface("shop", Shop), FakeNetwork()
    >>> shop = child(Shop, expects=(KeyError,))
    >>> there = Supervisor("there", shop, gate(network.listen, serves=[SHOP.by(shop)]))
    >>> link = dial(network.connect, uses=[SHOP])
    >>> async with there, Supervisor("web", link) as web:
    ...     await SHOP.over(web.find(link)).call(Shop.sell, "tea")
    Traceback (most recent call last):
    RemoteError: KeyError: 'tea'
    """

    def __init__(self, type: str, text: str) -> None:
        super().__init__(f"{type}: {text}" if text else type)
        self.type: str = type


class ConnectionLost(SuperviseError):
    """A link has no connection: it can't be made, or has ended without a word.

    It is why the link crashed, and its supervisor starts it again. Who calls over the link gets
    `OutcomeUnknown` for what was under way.

    >>> from supervise.remote import dial
    >>> from supervise.testing import FakeNetwork
    >>> network = FakeNetwork()
    >>> network.refuse()
    >>> async with Supervisor("web", dial(network.connect, eager=True)) as web:
    ...     await web.wait()
    Traceback (most recent call last):
    StartFailed: supervisor 'web' didn't start: child 'link' didn't start: ConnectionLost:
        connect isn't reached: refused, as the test wants it
    """


class ProtocolError(SuperviseError):
    """The other side of a link broke a rule of the protocol. It is why the link crashed.

    `.rule` names the rule. All of them stand in a table at the top of
    `supervise/wire/frames.py`.

    >>> ProtocolError("length", "a frame of 70000 bytes; 1 to 65536 are allowed").rule
    'length'
    """

    def __init__(self, rule: str, what: str = "") -> None:
        super().__init__(f"{rule}: {what}" if what else rule)
        self.rule: str = rule


class IgnoreStart(SuperviseError):
    """Raised by a factory or an enter hook: the actor isn't wanted now.

    Nothing has failed. It is listed as stopped, and its address raises `ActorStopped`. It is
    Erlang/OTP's `ignore`.

    >>> def no_mail():
    ...     raise IgnoreStart("no mail server is configured")
    >>> async with Supervisor("app") as app:
    ...     mail = await app.start(no_mail)
    ...     await mail.send(list.append, "ada")
    Traceback (most recent call last):
    ActorStopped: app/no_mail is stopped, and doesn't get list.append: restart_child(), or
        operator(…).restart(), starts it again on this mailbox
    """


class StartFailed(SuperviseError):
    """A tree didn't start: a child's factory or enter hook raised.

    `__cause__` is what it raised. What had started was stopped, and the body never ran. A child
    with `retry_start=True` is tried again instead.

    >>> async with Supervisor("app", child(open, "nowhere.txt", name="file")) as app:
    ...     await app.wait()
    Traceback (most recent call last):
    StartFailed: supervisor 'app' didn't start: child 'file' didn't start:
        FileNotFoundError: [Errno 2] No such file or directory: 'nowhere.txt'
    """


class GaveUp(SuperviseError):
    """A tree ended because its root supervisor spent its restart intensity.

    `.crashes` holds the decisions that led there, oldest first. Each says which child ended,
    why, and what followed.

    `.record` is the file of the flight record, which `supervise postmortem` reads. It is None
    with `recorder=False`, or if it couldn't be written, which is logged. Its name is a note of
    the exception, so it stands below a traceback.

    >>> async with Supervisor("app", intensity=Intensity(0)) as app:
    ...     names = await app.start(list)
    ...     await names.send(list.pop)
    ...     await app.wait()
    Traceback (most recent call last):
    GaveUp: supervisor 'app' gave up restarting; last: app: list #1 ended: crashed
        (IndexError: pop from empty list); permanent -> gives up: more than 0 restarts
        within 5 s
    What led to it: supervise postmortem ...
    """

    def __init__(self, path: str, crashes: Sequence[Decided], record: Path | None = None) -> None:
        last = f"; last: {crashes[-1]}" if crashes else ""
        super().__init__(f"supervisor {path!r} gave up restarting{last}")
        self.path: str = path
        self.crashes: tuple[Decided, ...] = tuple(crashes)
        self.record: Path | None = record
        if record is not None:
            self.add_note(f"What led to it: supervise postmortem {shlex.quote(str(record))}")
