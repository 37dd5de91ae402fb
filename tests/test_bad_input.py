"""What can't work is refused where it is written, by an error that says who, what, and what to do instead.

Tested: every wrong description, in a table; every wrong use of a running tree, in a second one, after each of which the tree
goes on as before; what is refused outside of a tree; and what is only warned about. Each line holds what the text must say:
the child or supervisor, the field or state with its value, and the cure. More values of a child's options are in
`test_wrong_options.py`.
"""

from __future__ import annotations

import inspect
import math
import ssl
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio
import pytest
from tenacity import stop_after_attempt, wait_fixed

import supervise
import supervise.remote
import supervise.wire
from supervise import (
    ActorStopped,
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartFailed,
    DynamicSupervisor,
    ImmortalLoopWarning,
    Intensity,
    InvalidSpec,
    MailboxClosed,
    MailboxFull,
    NoActor,
    NotAHandler,
    NotForDynamic,
    Restart,
    RunningSupervisor,
    StartFailed,
    Supervisor,
    SupervisorNotRunning,
    TooManyChildren,
    UnknownHandler,
    child,
    current,
    open_mailbox,
)

# A type checker refuses most of what follows, so it is written through names that it knows nothing about.
any_child: Any = child
any_supervisor: Any = Supervisor
any_dynamic: Any = DynamicSupervisor
any_restart: Any = Restart
any_intensity: Any = Intensity
any_mailbox: Any = open_mailbox
any_gate: Any = supervise.remote.gate
any_dial: Any = supervise.remote.dial
any_relay: Any = supervise.remote.relay
any_served: Any = supervise.wire.Served
any_interface: Any = supervise.wire.Interface

NAN = math.nan


class Worker:
    async def ping(self) -> str:
        return "pong"

    @staticmethod
    def static() -> None: ...

    @classmethod
    def of_class(cls) -> None: ...


class Other:
    async def elsewhere(self) -> None: ...


class ForgotToReturnSelf:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


def kid(**options: Any) -> Any:
    return any_child(Worker, **{"name": "w", **options})


def app_of(*children: Any, **options: Any) -> Any:
    return any_supervisor("app", *children, **options)


class Elsewhere:
    """As the address of an actor in another process."""

    def call(self) -> None: ...
    def send(self) -> None: ...
    def try_send(self) -> None: ...


class Untyped:
    def show(self, width) -> int: ...  # type: ignore[no-untyped-def, empty-body]


class Api:
    def show(self) -> int: ...  # type: ignore[empty-body]


API: Any = any_interface("api", Api)
SOCKET = "unix:///run/shop.sock"
AFAR = "tcp://shop.example:7000"


def door(where: Any = SOCKET, **options: Any) -> Any:
    return any_gate(where, **options)


def line(where: Any = SOCKET, **options: Any) -> Any:
    return any_dial(where, **options)


def tls(purpose: Any, **attributes: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(purpose)
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


def limits(**values: Any) -> Any:
    return supervise.remote.Limits(**values)


OF_CLIENTS, OF_SERVERS = ssl.Purpose.SERVER_AUTH, ssl.Purpose.CLIENT_AUTH


def under_itself() -> Any:
    twice = child(Worker)
    return app_of(twice, Supervisor("below", Supervisor("far below", twice)))


def the_same_supervisor_twice() -> Any:
    below = Supervisor("below")
    return app_of(below, Supervisor("other", below))


async def carry_out(attempt: Callable[..., Any], *args: Any) -> None:
    result = attempt(*args)
    if inspect.isawaitable(result):
        await result


def assert_says(error: BaseException | Warning, parts: tuple[str, ...]) -> None:
    text = str(error)
    missing = [part for part in parts if part not in text]
    assert not missing, f"{text!r} doesn't say {missing}"


# -- descriptions --------------------------------------------------------------------------------------------------------

TYPES = "'permanent', 'transient' or 'temporary'"
SECONDS = "seconds"
DESCRIPTIONS: list[tuple[str, Callable[[], Any], tuple[str, ...]]] = [
    # what is wrong, the attempt, what the error says
    ("two of one name", lambda: app_of(kid(), kid()), ("supervisor 'app'", "children='w'", "another name=")),
    ("a child and a supervisor of one name", lambda: app_of(kid(), Supervisor("w")), ("'app'", "'w'", "another name=")),
    ("one Child twice", lambda: app_of(*[child(Worker)] * 2), ("'app'", "<Child worker permanent>", "describe another")),
    ("one named Child twice", lambda: app_of(*[kid()] * 2), ("'app'", "<Child w permanent>", "describe another")),
    ("one Child at two depths", under_itself, ("'app'", "<Child worker permanent>", "describe another")),
    ("one supervisor at two places", the_same_supervisor_twice, ("'app'", "<Supervisor 'below'", "describe another")),
    ("a class as child", lambda: app_of(Worker), ("'app'", f"children={Worker!r}", "child(factory, …)")),
    ("an actor as child", lambda: app_of(42), ("'app'", "children=42", "child(factory, …)")),
    ("a child where the name stands", lambda: any_supervisor(kid()), ("supervisor", "name=<Child w", "a name is text")),
    ("an unknown strategy", lambda: app_of(strategy="one_for_two"), ("'app'", "strategy='one_for_two'", "'rest_for_one'")),
    ("an unknown auto_shutdown", lambda: app_of(auto_shutdown="always"), ("'app'", "='always'", "'any_significant'")),
    ("an unknown give_up_as", lambda: app_of(give_up_as="normal"), ("'app'", "give_up_as='normal'", "'shutdown'")),
    ("an unknown restart", lambda: kid(restart="always"), ("child 'w'", "restart='always'", TYPES)),
    ("no restart", lambda: kid(restart=None), ("child 'w'", "restart=None", TYPES)),
    ("a restart class", lambda: kid(restart=Restart), ("child 'w'", f"restart={Restart!r}", "Restart.permanent(")),
    ("a supervisor's unknown restart", lambda: app_of(restart="never"), ("supervisor 'app'", "restart='never'", TYPES)),
    ("an unknown type of Restart", lambda: any_restart("always"), ("Restart", "type='always'", "Restart.transient()")),
    ("a factory that isn't callable", lambda: any_child(42, name="w"), ("child 'w'", "factory=42", "start(Counter, 10)")),
    ("a nameless one", lambda: any_child("Worker"), ("child: ", "factory='Worker'", "a class, or a function")),
    ("an unknown option", lambda: kid(restrat="permanent"), ("child 'w'", "restrat='permanent'", "restart, significant")),
    ("a permanent one is significant", lambda: kid(significant=True), ("child 'w'", "significant=True", "make it transient")),
    ("significant isn't a bool", lambda: kid(significant="yes"), ("child 'w'", "significant='yes'", "True or False")),
    (
        "significant without auto_shutdown",
        lambda: app_of(kid(significant=True, restart="transient")),
        ("child 'w'", "significant=True", "supervisor 'app' has auto_shutdown='never'", "'any_significant'"),
    ),
    ("intensity isn't an Intensity", lambda: app_of(intensity=3), ("'app'", "intensity=3", "Intensity(3, per=")),
    ("limit isn't an Intensity", lambda: kid(limit=3), ("child 'w'", "limit=3", "Intensity(3, per=")),
    ("on_limit unknown", lambda: kid(on_limit="crash"), ("child 'w'", "on_limit='crash'", "'stop' or 'escalate'")),
    ("a negative intensity", lambda: any_intensity(-1), ("Intensity", "restarts=-1", "a whole number")),
    ("half a restart", lambda: any_intensity(0.5), ("Intensity", "restarts=0.5", "a whole number")),
    ("a bool of restarts", lambda: any_intensity(True), ("Intensity", "restarts=True", "a whole number")),
    ("no period", lambda: any_intensity(3, per=0), ("Intensity", "per=0", "above 0 and finite")),
    ("an endless period", lambda: any_intensity(3, per=math.inf), ("Intensity", "per=inf", "above 0 and finite")),
    ("a queue that can't be taken from", lambda: kid(queue=list), ("child 'w'", "queue=", "no appendleft, popleft")),
    ("no room", lambda: kid(capacity=0), ("child 'w'", "capacity=0", "1 or more")),
    ("a negative capacity", lambda: kid(capacity=-5), ("child 'w'", "capacity=-5", "1 or more")),
    ("a capacity that is no number", lambda: kid(capacity=NAN), ("child 'w'", "capacity=nan", "math.inf")),
    ("a bool of capacity", lambda: kid(capacity=True), ("child 'w'", "capacity=True", "math.inf")),
    ("half a message", lambda: kid(capacity=2.5), ("child 'w'", "capacity=2.5", "a whole number")),
    ("capacity as text", lambda: kid(capacity="10"), ("child 'w'", "capacity='10'", "a whole number")),
    (
        "an unknown overflow",
        lambda: kid(overflow="drop"),
        ("child 'w'", "overflow='drop'", "'wait', 'reject', 'drop_oldest' or 'drop_newest'"),
    ),
    ("expects one class", lambda: kid(expects=KeyError), ("child 'w'", f"expects={KeyError!r}", "(KeyError,)")),
    ("expects a list", lambda: kid(expects=[KeyError]), ("child 'w'", "expects=[", "a tuple of exception classes")),
    ("expects an instance", lambda: kid(expects=(KeyError(),)), ("child 'w'", "expects=(KeyError()", "exception classes")),
    ("expects another class", lambda: kid(expects=(int,)), ("child 'w'", f"expects=({int!r},)", "exception classes")),
    ("drain isn't a bool", lambda: kid(drain="yes"), ("child 'w'", "drain='yes'", "True or False")),
    ("an empty name", lambda: kid(name=""), ("child", "name=''", "not empty")),
    ("a name with a slash", lambda: kid(name="a/b"), ("child 'a/b'", "name='a/b'", "leave out the '/'")),
    ("a name that isn't text", lambda: kid(name=7), ("child", "name=7", "a name is text")),
    ("an empty supervisor name", lambda: any_supervisor(""), ("supervisor", "name=''", "not empty")),
    ("a supervisor with a slash", lambda: any_supervisor("a/b"), ("supervisor 'a/b'", "name='a/b'", "leave out the '/'")),
    ("a number for wait", lambda: any_restart.permanent(wait=5), ("Restart", "wait=5", "wait=wait_fixed(1)")),
    ("a class for wait", lambda: any_restart.permanent(wait=wait_fixed), ("Restart", "wait=<class", "wait=wait_fixed(1)")),
    ("a number for stop", lambda: any_restart.permanent(stop=5), ("Restart", "stop=5", "stop=stop_after_attempt(5)")),
    ("a class for stop", lambda: any_restart.permanent(stop=stop_after_attempt), ("stop=<class", "stop_after_attempt(5)")),
    ("an exception for when", lambda: any_restart.transient(when=OSError), ("when=<class 'OSError'>", "retry_if_exception")),
    ("temporary with a wait", lambda: any_restart("temporary", wait=wait_fixed(1)), ("wait=<tenacity", "make the child trans")),
    ("max_children negative", lambda: any_dynamic("pool", max_children=-1), ("'pool'", "max_children=-1", "0 or more")),
    ("max_children nan", lambda: any_dynamic("pool", max_children=NAN), ("'pool'", "max_children=nan", "math.inf")),
    ("max_children bool", lambda: any_dynamic("pool", max_children=True), ("'pool'", "max_children=True", "a whole number")),
    ("half a child", lambda: any_dynamic("pool", max_children=0.5), ("'pool'", "max_children=0.5", "a whole number")),
    ("dynamic with children", lambda: any_dynamic("pool", kid()), ("'pool'", "children=['w']", "start them when it runs")),
    ("a listener that can't be called", lambda: app_of(listener=5), ("'app'", "listener=5", "a function of one event")),
    # what crosses
    ("an interface without a name", lambda: any_interface("", Api), ("interface", "name=''", "letters, digits")),
    ("an interface of no class", lambda: any_interface("api", 7), ("interface 'api'", "of=7", "a Protocol, best")),
    ("an interface of nothing public", lambda: any_interface("api", object), ("'api'", "of=<class", "no public functions")),
    ("a handler without types", lambda: any_interface("api", Untyped), ("Untyped.show", "width=", "of which type")),
    ("only one function", lambda: any_interface("api", Api, only=Api.show), ("'api'", "only=", "only=(OrdersApi.count,)")),
    ("raises one class", lambda: any_interface("api", Api, raises=KeyError), ("'api'", "raises=", "raises=(OutOfStock,)")),
    ("events without fields", lambda: any_interface("api", Api, events=(int,)), ("'api'", "events=", "a dataclass")),
    ("a format that is a name", lambda: any_interface("api", Api, format="json"), ("'api'", "format='json'", "encode(value)")),
    ("served by a class", lambda: API.by(Api), ("'api'", f"by={Api!r}", "ORDERS.by(child(Orders))")),
    ("over no link", lambda: API.over("web/link"), ("'api'", "over='web/link'", "ORDERS.over(app.find(link))")),
    ("a gate at no address", lambda: door("shop:7000"), ("gate 'gate'", "where='shop:7000'", "'tcp://host:port'")),
    ("a gate at a page", lambda: door("http://shop:7000"), ("gate 'gate'", "where='http://", "'unix:///path")),
    ("a port that is none", lambda: door("tcp://localhost:99999"), ("gate 'gate'", "where='tcp://", "'tcp://host:port'")),
    ("a gate beyond this machine", lambda: door(AFAR), ("gate 'gate'", "tls=None", "insecure=True")),
    ("a gate for anybody", lambda: door(AFAR, insecure=True), ("gate 'gate'", "admit=None", "who may come in")),
    ("a gate with TLS for anybody", lambda: door(AFAR, tls=tls(OF_SERVERS)), ("admit=None", "CERT_REQUIRED")),
    ("a gate with a client's TLS", lambda: door(tls=tls(OF_CLIENTS)), ("gate 'gate'", "tls=<", "load_cert_chain")),
    ("a gate with True for TLS", lambda: door(tls=True), ("gate 'gate'", "tls=True", "ssl.SSLContext")),
    ("a token for admit", lambda: door(admit="secret"), ("gate 'gate'", "admit='secret'", "an Admission")),
    ("an interface is served", lambda: door(serves=[API]), ("gate 'gate'", "serves=<Interface api", "[ORDERS.by(orders)]")),
    ("serves is no list", lambda: door(serves=API.by(kid())), ("serves=<Served api", "serves=[ORDERS.by(orders)]")),
    ("two serve one interface", lambda: door(serves=[API.by(kid()), API.by(kid())]), ("serves=<Served api", "once")),
    ("served by an address elsewhere", lambda: API.by(Elsewhere()), ("interface 'api'", "by=", "of this process")),
    (
        "served by one, in a way around that",
        lambda: door(serves=[any_served(API, Elsewhere())]),
        ("serves=", "of this process"),
    ),
    ("limits as a dict", lambda: door(limits={"frame": 65536}), ("gate 'gate'", "limits={", "Limits(…)")),
    ("a gate whose name isn't text", lambda: door(name=7), ("gate 7", "name=7", "a name is text")),
    ("a link to nowhere", lambda: line(None), ("link 'link'", "where=None", "an async function that connects")),
    ("a link that anybody can read", lambda: line(AFAR), ("link 'link'", "tls=None", "insecure=True")),
    (
        "a link that verifies nothing",
        lambda: line(AFAR, tls=tls(OF_CLIENTS, check_hostname=False, verify_mode=ssl.CERT_NONE)),
        ("link 'link'", "tls=<", "verifies the server's certificate"),
    ),
    ("a link with a server's TLS", lambda: line(tls=tls(OF_SERVERS)), ("link 'link'", "tls=<", "a client's ssl.SSLContext")),
    ("uses is no list", lambda: line(uses=API), ("link 'link'", "uses=<Interface api", "uses=[ORDERS]")),
    ("uses a name", lambda: line(uses="api"), ("link 'link'", "uses='api'", "uses=[ORDERS]")),
    ("uses who serves", lambda: line(uses=[API.by(kid())]), ("link 'link'", "uses=<Served", "uses=[ORDERS]")),
    ("uses one twice", lambda: line(uses=[API, API]), ("link 'link'", "uses='api'", "here are two")),
    ("eager isn't a bool", lambda: line(eager="yes"), ("link 'link'", "eager='yes'", "True or False")),
    ("a token of bytes", lambda: line(token=b"secret"), ("link 'link'", "token='<hidden>'", "a text")),
    ("a token that is long", lambda: line(token="x" * 4001), ("link 'link'", "token='<hidden>'", "at most 4000 characters")),
    ("a relay to an address", lambda: any_relay(SOCKET, API), ("relay", f"to='{SOCKET}'", "dial(…)")),
    ("a relay of a child", lambda: any_relay(line(), kid()), ("relay", "interface=<Child w", "relay(link, ORDERS)")),
    ("a small frame", lambda: limits(frame=1024), ("Limits", "frame=1024", "from 32768")),
    ("a deep depth", lambda: limits(depth=9), ("Limits", "depth=9", "from 1 to 8")),
    ("no end of idling", lambda: limits(idle=math.inf), ("Limits", "idle=inf", "seconds, above 0")),
    ("a frame that has no credit", lambda: limits(send_bytes=32768), ("Limits", "send_bytes=32768", "at least frame + 256")),
]

TIMES: list[tuple[str, Callable[[Any], Any], str]] = [
    ("stop_within", lambda seconds: kid(stop_within=seconds), "child 'w'"),
    ("stop_within", lambda seconds: app_of(stop_within=seconds), "supervisor 'app'"),
    ("shutdown_budget", lambda seconds: app_of(shutdown_budget=seconds), "supervisor 'app'"),
    ("per", lambda seconds: any_intensity(3, per=seconds), "Intensity"),
    ("healthy_after", lambda seconds: any_restart(healthy_after=seconds), "Restart"),
]


@pytest.mark.parametrize(("attempt", "parts"), [case[1:] for case in DESCRIPTIONS], ids=[case[0] for case in DESCRIPTIONS])
def test_a_wrong_description_is_refused_where_it_is_built(attempt: Callable[[], Any], parts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidSpec) as refused:
        attempt()
    assert_says(refused.value, parts)
    assert_says(refused.value, (refused.value.who, f"{refused.value.field}={refused.value.value!r}", refused.value.cure))
    assert isinstance(refused.value, ValueError)


def test_a_name_that_no_greeting_can_say_is_refused() -> None:
    for describe in (door, line):
        with pytest.raises(InvalidSpec, match=r"name='g+.* is not valid: at most 200 characters"):
            describe(name="g" * 201)
        with pytest.raises(InvalidSpec, match="what HELLO can say"):
            describe(name="\ud800")


@pytest.mark.parametrize("seconds", [-1, -0.5, NAN, -math.inf, True, "5", [5]], ids=repr)
@pytest.mark.parametrize(("field", "attempt", "who"), TIMES, ids=[f"{who} {field}" for field, _, who in TIMES])
def test_a_time_is_a_number_of_seconds(field: str, attempt: Callable[[Any], Any], who: str, seconds: Any) -> None:
    with pytest.raises(InvalidSpec) as refused:
        attempt(seconds)
    assert_says(refused.value, (who, f"{field}={seconds!r}", SECONDS))


# -- a running tree ------------------------------------------------------------------------------------------------------


class Scene(NamedTuple):
    """`w` runs, `stopped` is listed, `gone` was deleted, `waiting` is in its backoff, `pool` is full."""

    app: Any
    w: Any
    stopped: Any
    gone: Any
    closed: Any
    pool: Any
    pooled: Any


async def crash(_: object) -> None:
    raise RuntimeError("crash")


def describe() -> tuple[Supervisor, Callable[[RunningSupervisor], Any]]:
    later = Restart.permanent(wait=wait_fixed(60))
    pool = DynamicSupervisor("pool", max_children=1)
    description = Supervisor(
        "app",
        child(Worker, name="w", capacity=1),
        child(Worker, name="stopped"),
        child(Worker, name="gone"),
        child(Worker, name="waiting", restart=later),
        pool,
    )

    async def build(app: RunningSupervisor) -> Scene:
        gone, stopped = app.find("gone"), app.find("stopped")
        await app.terminate_child("gone")
        await app.delete_child("gone")
        await app.terminate_child("stopped")
        with pytest.raises(supervise.ActorCrashed):
            await app.find("waiting").call(crash)
        closed = app.find("w").clone()
        closed.close()
        running_pool = app.supervisor(pool)
        pooled = await running_pool.start(Worker, name="one")
        return Scene(app, app.find("w"), stopped, gone, closed, running_pool, pooled)

    return description, build


foreign = child(Worker, name="foreign")

USES: list[tuple[str, Callable[[Scene], Any], type[Exception], tuple[str, ...]]] = [
    # what is wrong, the attempt, the error, what it says
    ("a closed address", lambda s: s.closed.send(Worker.ping), MailboxClosed, ("app/w", "was closed", "clone() before")),
    ("a clone of a closed one", lambda s: s.closed.clone(), MailboxClosed, ("app/w", "was closed", "use another")),
    ("a send to a deleted child", lambda s: s.gone.send(Worker.ping), MailboxClosed, ("app/gone", "for good", "successor")),
    ("a call of a deleted child", lambda s: s.gone.call(Worker.ping), MailboxClosed, ("app/gone", "for good", "successor")),
    ("a try_send to one", lambda s: s.gone.try_send(Worker.ping), MailboxClosed, ("app/gone", "for good", "successor")),
    ("a send to a stopped child", lambda s: s.stopped.send(Worker.ping), ActorStopped, ("app/stopped", "restart_child()")),
    ("a call of a stopped child", lambda s: s.stopped.call(Worker.ping), ActorStopped, ("app/stopped", "restart_child()")),
    ("an unknown handler", lambda s: s.w.call(Other.elsewhere), UnknownHandler, ("Worker", "'elsewhere'", "of Worker")),
    ("a static handler", lambda s: s.w.call(Worker.static), UnknownHandler, ("Worker", "'static'", "on an instance", "plain")),
    ("a negative timeout", lambda s: s.w.options(timeout=-1), InvalidSpec, ("'app/w'", "timeout=-1", "0 or more")),
    ("a timeout that is no number", lambda s: s.w.options(timeout=NAN), InvalidSpec, ("'app/w'", "timeout=nan", "or None")),
    ("a bool of timeout", lambda s: s.w.options(timeout=True), InvalidSpec, ("'app/w'", "timeout=True", "seconds")),
    ("a weak view's timeout", lambda s: s.w.weak.options(timeout="1"), InvalidSpec, ("'app/w'", "timeout='1'", "seconds")),
    ("on_restart unknown", lambda s: s.w.options(on_restart="no"), InvalidSpec, ("'app/w'", "='no'", "'wait' or 'fail'")),
    ("an unknown name", lambda s: s.app.find("nobody"), ChildNotFound, ("'nobody'", "'app' has no", "there are 'w', ")),
    ("an unknown path", lambda s: s.app.find("pool/x"), ChildNotFound, ("'pool/x'", "'pool' has no 'x'", "there is 'one'")),
    (
        "a path through an actor",
        lambda s: s.app.find("w/x"),
        ChildNotFound,
        ("'w/x'", "'w' has no 'x'", "no children"),
    ),
    ("a full path", lambda s: s.app.find("app/w"), ChildNotFound, ("'app/w'", "'app' has no 'app'", "there are 'w', ")),
    ("find of a supervisor", lambda s: s.app.find("pool"), InvalidSpec, ("find", "key='pool'", "use supervisor(…)")),
    ("find by a foreign key", lambda s: s.app.find(foreign), InvalidSpec, ("find", "<Child foreign", "this tree was built")),
    ("find by a number", lambda s: s.app.find(3), InvalidSpec, ("find", "key=3", "give a path")),
    ("an actor as supervisor", lambda s: s.app.supervisor("w"), InvalidSpec, ("supervisor", "key='w'", "use find(…)")),
    ("get_childspec", lambda s: s.app.get_childspec("x"), ChildNotFound, ("'x'", "there are 'w', ")),
    ("a kill of nobody", lambda s: s.app.kill("x"), ChildNotFound, ("'x'", "there are 'w', ")),
    ("start of a name that runs", lambda s: s.app.start(Worker, name="w"), ChildAlreadyStarted, ("'w'", "find('w')", "name=")),
    ("start_child of one", lambda s: s.app.start_child(kid()), ChildAlreadyStarted, ("'w'", "find('w')", "another name=")),
    (
        "start of a name that is stopped",
        lambda s: s.app.start(Worker, name="stopped"),
        ChildAlreadyPresent,
        ("'stopped'", "is stopped", "restart_child()", "delete_child()", "name="),
    ),
    (
        "start_child of a supervisor's name",
        lambda s: s.app.start_child(DynamicSupervisor("pool")),
        ChildAlreadyStarted,
        ("'pool'", "another name="),
    ),
    ("start_child of a class", lambda s: s.app.start_child(Worker), InvalidSpec, ("start_child", "child=<class", "start(fac")),
    (
        "start of a significant child",
        lambda s: s.app.start(Worker, name="s", significant=True, restart="transient"),
        InvalidSpec,
        ("child 's'", "significant=True", "'app' has auto_shutdown='never'"),
    ),
    (
        "start of a significant dynamic child",
        lambda s: s.pool.start(Worker, name="s", significant=True),
        InvalidSpec,
        ("child 's'", "significant=True", "'pool'"),
    ),
    ("start without its arguments", lambda s: s.app.start(ord, name="o"), ChildStartFailed, ("'o'", "TypeError", "argument")),
    ("start of None", lambda s: s.app.start(id, 1, name="x", stop_within=-1), InvalidSpec, ("'x'", "=-1", "seconds")),
    ("a factory that returns None", lambda s: s.app.start(print, name="n"), ChildStartFailed, ("app/n", "has to return")),
    (
        "an enter hook that returns None",
        lambda s: s.app.start(ForgotToReturnSelf, name="n"),
        ChildStartFailed,
        ("'n'", "ForgotToReturnSelf.__aenter__ returned None", "`return self`"),
    ),
    (
        "restart of a running child",
        lambda s: s.app.restart_child("w"),
        ChildRunning,
        ("'w'", "running", "terminate_child('w')"),
    ),
    ("delete of a running child", lambda s: s.app.delete_child("w"), ChildRunning, ("'w'", "running", "terminate_child('w')")),
    ("restart of one in its backoff", lambda s: s.app.restart_child("waiting"), ChildRestarting, ("'waiting'", "cancels it")),
    (
        "delete of one in its backoff",
        lambda s: s.app.delete_child("waiting"),
        ChildRestarting,
        ("'waiting'", "terminate_child"),
    ),
    ("restart of nobody", lambda s: s.app.restart_child("x"), ChildNotFound, ("'x'", "there are 'w', ")),
    ("delete of nobody", lambda s: s.app.delete_child("x"), ChildNotFound, ("'x'", "there are 'w', ")),
    ("terminate of nobody", lambda s: s.app.terminate_child("x"), ChildNotFound, ("'x'", "there are 'w', ")),
    (
        "terminate of another's child",
        lambda s: s.app.terminate_child(s.pooled),
        ChildNotFound,
        ("app/pool/one", "are 'w'"),
    ),
    ("terminate of a key", lambda s: s.app.terminate_child(foreign), InvalidSpec, ("terminate_child", "<Child", "find(key)")),
    ("one too many", lambda s: s.pool.start(Worker, name="two"), TooManyChildren, ("'two'", "max_children=1", "raise it")),
    ("terminate by name", lambda s: s.pool.terminate_child("one"), NotForDynamic, ("'one'", "terminate_child(find('one'))")),
    (
        "restart by name",
        lambda s: s.pool.restart_child("one"),
        NotForDynamic,
        ("'one'", "restart_child", "started as a new one"),
    ),
    (
        "delete by name",
        lambda s: s.pool.delete_child("one"),
        NotForDynamic,
        ("'one'", "delete_child", "ends a child by its address"),
    ),
    ("a reason that is text", lambda s: s.app.stop("why"), InvalidSpec, ("'app'", "reason='why'", "ExitReason(")),
    ("a listener that isn't one", lambda s: s.app.subscribe(1), InvalidSpec, ("subscribe", "listener=1", "of one event")),
    ("current() in no actor", lambda _: current(), NoActor, ("current()", "only works in an actor", "handlers")),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("attempt", "error", "parts"), [case[1:] for case in USES], ids=[case[0] for case in USES])
async def test_a_wrong_use_is_refused_and_the_tree_goes_on(
    attempt: Callable[[Scene], Any], error: type[Exception], parts: tuple[str, ...]
) -> None:
    description, build = describe()
    async with description as app:
        scene = await build(app)
        before = (app.which_children(), scene.pool.which_children())
        with pytest.raises(error) as refused:
            await carry_out(attempt, scene)
        assert type(refused.value) is error
        assert_says(refused.value, parts)
        assert (app.which_children(), scene.pool.which_children()) == before
        assert await scene.w.call(Worker.ping) == "pong"


HANDLERS: list[tuple[str, Any, tuple[str, ...]]] = [
    ("a bound method", Worker().ping, ("bound method", "name the function on the class, Worker.ping")),
    ("a bound class method", Worker.of_class, ("bound", "name the function on the class, Worker.of_class")),
    ("a builtin method", "text".upper, ("bound", "str.upper")),
    ("a class", Worker, ("is a class", "Worker.method")),
    ("a staticmethod", Worker.__dict__["static"], ("staticmethod", "no instance to run on", "name a plain function")),
    ("a classmethod", Worker.__dict__["of_class"], ("classmethod", "no instance to run on", "name a plain function")),
    ("a name", "ping", ("'ping'", "isn't callable", "give a function of the actor's class")),
    ("a call's result", 42, ("42", "isn't callable", "give a function of the actor's class")),
    ("nothing", None, ("None", "isn't callable", "give a function of the actor's class")),
]


@pytest.mark.anyio
@pytest.mark.parametrize("verb", ["call", "send", "try_send", "recipient"])
@pytest.mark.parametrize(("handler", "parts"), [case[1:] for case in HANDLERS], ids=[case[0] for case in HANDLERS])
async def test_what_cant_be_a_handler_is_refused_before_anything_is_sent(
    verb: str, handler: Any, parts: tuple[str, ...]
) -> None:
    async with Supervisor("app") as app:
        worker: Any = await app.start(Worker)
        with pytest.raises(NotAHandler) as refused:
            await carry_out(getattr(worker, verb), handler)
        assert isinstance(refused.value, TypeError)
        assert_says(refused.value, ("handler=", *parts))
        assert worker.account().accepted == 0


@pytest.mark.anyio
async def test_a_full_mailbox_refuses_try_send_and_gives_the_message_back() -> None:
    async with Supervisor("app") as app:
        worker = await app.start(Worker, capacity=1)
        worker.try_send(Worker.ping)
        with pytest.raises(MailboxFull) as refused:
            worker.try_send(Worker.ping)
        assert_says(refused.value, ("app/worker", "is full (1 message waits)", "try_send doesn't wait"))
        assert refused.value.message is not None
        assert refused.value.message.handler is Worker.ping


@pytest.mark.anyio
async def test_a_tree_that_cant_start_names_the_child_and_the_cause() -> None:
    description = Supervisor("app", child(Worker), child(ForgotToReturnSelf, name="n"))
    with pytest.raises(StartFailed) as failed:
        await description.__aenter__()
    assert_says(failed.value, ("supervisor 'app'", "child 'n'", "`return self`"))
    assert isinstance(failed.value.__cause__, TypeError)


# -- outside of a tree, before it and after it -----------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_tree_that_has_ended_answers_no_changes() -> None:
    description = Supervisor("app", child(Worker, name="w"))
    app = await description.__aenter__()
    worker = app.find("w")
    await description.__aexit__(None, None, None)
    changes: list[Callable[[], Any]] = [
        lambda: app.start(Worker),
        lambda: app.start_child(child(Worker)),
        lambda: app.terminate_child("w"),
        lambda: app.restart_child("w"),
        lambda: app.delete_child("w"),
    ]
    for change in changes:
        with pytest.raises(SupervisorNotRunning) as refused:
            await change()
        assert_says(refused.value, ("supervisor 'app'", "isn't running", "start the tree again"))
    with pytest.raises(MailboxClosed) as closed:
        await worker.call(Worker.ping)
    assert_says(closed.value, ("app/w", "for good", "successor"))


@pytest.mark.anyio
async def test_a_description_that_runs_cant_be_entered_again() -> None:
    description = Supervisor("app")
    async with description:
        with pytest.raises(RuntimeError) as refused:
            await description.__aenter__()
        assert_says(refused.value, ("supervisor 'app'", "runs already", "describe another"))
    async with description as again:
        assert again.running


@pytest.mark.anyio
async def test_a_mailbox_without_a_supervisor_has_the_same_rules() -> None:
    for options, parts in (
        ({"capacity": 0}, ("mailbox 'worker'", "capacity=0", "1 or more")),
        ({"overflow": "drop"}, ("mailbox 'worker'", "overflow='drop'", "'wait', 'reject', 'drop_oldest' or 'drop_newest'")),
        ({"name": "a/b"}, ("mailbox 'a/b'", "name='a/b'", "leave out the '/'")),
        ({"name": ""}, ("mailbox", "name=''", "not empty")),
        ({"listener": 5}, ("mailbox 'worker'", "listener=5", "a function of one event")),
    ):
        with pytest.raises(InvalidSpec) as refused:
            any_mailbox(Worker, **options)
        assert_says(refused.value, parts)


@pytest.mark.anyio
async def test_a_mailbox_runs_one_actor_at_a_time_and_only_what_can_be_called() -> None:
    mailbox, address = any_mailbox(Worker)
    with pytest.raises(InvalidSpec) as refused:
        await mailbox.run(42)
    assert_says(refused.value, ("mailbox 'worker'", "factory=42", "run(Counter, 10)"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mailbox.run, Worker)
        assert await address.call(Worker.ping) == "pong"
        with pytest.raises(RuntimeError) as twice:
            await mailbox.run(Worker)
        assert_says(twice.value, ("mailbox 'worker'", "runs an actor already", "one incarnation at a time"))
        address.close()
    with pytest.raises(MailboxClosed) as closed:
        address.try_send(Worker.ping)
    assert_says(closed.value, ("worker", "was closed", "use another"))
    mailbox.close()


def test_no_event_loop() -> None:
    with pytest.raises(RuntimeError) as refused:
        open_mailbox(Worker)
    assert_says(refused.value, ("no event loop runs in this thread", "from async code under asyncio or trio"))
    entering = Supervisor("app").__aenter__()
    with pytest.raises(RuntimeError) as refused:
        entering.send(None)
    assert_says(refused.value, ("no event loop runs in this thread", "from async code under asyncio or trio"))


def test_current_outside_of_an_actor() -> None:
    with pytest.raises(NoActor) as refused:
        current()
    assert_says(refused.value, ("current()", "in its factory, hooks, handlers"))


# -- what is only warned about ---------------------------------------------------------------------------------------------

IMMORTAL = ("child 'w'", "stop_within=5 s", "period / intensity (5 s / 1)", "supervisor 'app'", "lower stop_within")


def test_a_stop_time_above_period_by_intensity_warns() -> None:
    with pytest.warns(ImmortalLoopWarning) as warned:
        app_of(kid(stop_within=5), intensity=Intensity(1, per=5))
    assert_says(warned[0].message, IMMORTAL)  # type: ignore[arg-type]
    assert warned[0].filename == __file__  # it points at the user's line
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        app_of(kid(stop_within=4.9), intensity=Intensity(1, per=5))
        app_of(kid())  # 5 s beside 3 in 5 s is our own choice
        app_of(kid(stop_within=5, limit=Intensity(1, per=6)), intensity=Intensity(9, per=5))  # its own limit is what counts
        app_of(kid(restart="temporary", stop_within=5), intensity=Intensity(1, per=5))  # which is never restarted
    with pytest.warns(ImmortalLoopWarning, match="the default stop time of 5 s .* intensity of supervisor 'app'"):
        app_of(kid(), intensity=Intensity(1, per=5))
    with pytest.warns(ImmortalLoopWarning, match="stop_within=5 s .* of its own limit"):
        app_of(kid(stop_within=5, limit=Intensity(1, per=5)))


@pytest.mark.anyio
async def test_a_warning_that_is_an_error_raises_where_the_tree_is_described_and_never_in_the_machine() -> None:
    tree = app_of(kid(stop_within=1))
    async with tree as app:
        await app.operator("ada").change_intensity(Intensity(100, per=5))
        assert await app.find("w").ping() >= 0
        with pytest.raises(ImmortalLoopWarning):
            await app.start(Worker, name="v", stop_within=5)


@pytest.mark.anyio
async def test_so_does_one_that_is_added_at_run_time() -> None:
    async with Supervisor("app", intensity=Intensity(1, per=5)) as app:
        with pytest.warns(ImmortalLoopWarning) as warned:
            await app.start(Worker, name="w", stop_within=5)
        assert_says(warned[0].message, IMMORTAL)  # type: ignore[arg-type]
        assert warned[0].filename == __file__
