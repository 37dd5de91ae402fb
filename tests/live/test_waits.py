"""Who waits for whom, as a forest: below each who waits for it; cycles are marked, and end."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from supervise.live.table import Table
from supervise.live.waits import Waiter, cycles, forest, longest_chain

from .told_tree import row, snapshot, table_of


def waiting(**edges: str) -> Table:
    names = {*edges, *edges.values()}
    return table_of(snapshot(100, *[row(name, waits_for=edges.get(name, "")) for name in sorted(names)]))


def test_nobody_waits() -> None:
    table = table_of(snapshot(1, row("a")))
    assert (forest(table), cycles(table), longest_chain(table, 1)) == ([], [], None)


def test_below_each_stands_who_waits_for_it() -> None:
    assert forest(waiting(web="orders", orders="db", other="db")) == [
        Waiter("db", 0),
        Waiter("orders", 1),
        Waiter("web", 2),
        Waiter("other", 1),
    ]


def test_that_for_which_most_wait_comes_first() -> None:
    assert [each.path for each in forest(waiting(a="x", b="y", c="y")) if not each.level] == ["y", "x"]


def test_who_is_waited_for_may_have_no_row() -> None:
    table = table_of(snapshot(1, row("a", waits_for="elsewhere/b")))
    assert forest(table) == [Waiter("elsewhere/b", 0), Waiter("a", 1)]


def test_a_cycle_is_told_once_around_with_those_who_hang_on_it() -> None:
    table = waiting(a="b", b="c", c="a", late="b", x="y")
    assert cycles(table) == [("a", "b", "c")]
    assert forest(table) == [
        Waiter("a", 0, in_cycle=True),
        Waiter("c", 1, in_cycle=True),
        Waiter("b", 2, in_cycle=True),
        Waiter("a", 3, in_cycle=True, again=True),
        Waiter("late", 3),
        Waiter("y", 0),
        Waiter("x", 1),
    ]


def test_who_waits_for_itself_is_a_cycle() -> None:
    table = waiting(a="a")
    assert cycles(table) == [("a",)]
    assert forest(table) == [Waiter("a", 0, in_cycle=True), Waiter("a", 1, in_cycle=True, again=True)]


def chained(**hands: Any) -> Table:
    return table_of(
        snapshot(
            100,
            row("web", waits_for="orders", hand=["Web.get"], hand_since=91.0),
            row("orders", waits_for="db", hand=["Orders.place"], hand_since=93.0),
            row("db", **hands),
            row("short", waits_for="db", hand=["Short.go"], hand_since=1.0),
        )
    )


def test_the_longest_chain_is_told_with_what_its_last_one_does() -> None:
    chain = longest_chain(chained(hand=["Db.query"], hand_since=95.0), 100.0)
    assert chain is not None
    assert (chain.paths, chain.seconds, chain.handler) == (("web", "orders", "db"), 5.0, "Db.query")


def test_where_the_last_one_does_nothing_it_is_told_of_the_one_before() -> None:
    chain = longest_chain(chained(), 100.0)
    assert chain is not None
    assert (chain.seconds, chain.handler) == (7.0, "Orders.place")


def test_a_chain_of_which_nothing_is_known_has_no_time() -> None:
    chain = longest_chain(waiting(a="b"), 100.0)
    assert chain is not None
    assert (chain.paths, chain.seconds, chain.handler) == (("a", "b"), 0.0, "")


def test_of_chains_that_are_as_long_it_is_the_one_that_has_lasted_longest() -> None:
    told = [row(f"w{n}", waits_for=f"x{n}") for n in range(3)]
    told += [row(f"x{n}", hand=["X.f"], hand_since=at) for n, at in enumerate((50.0, 10.0, 90.0))]
    chain = longest_chain(table_of(snapshot(100, *told)), 100.0)
    assert chain is not None
    assert (chain.paths, chain.seconds) == (("w1", "x1"), 90.0)


def test_a_chain_that_ends_in_a_cycle_has_no_last_one() -> None:
    assert longest_chain(waiting(a="b", b="a", c="a"), 100.0) is None


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")))
def test_each_who_waits_is_told_once_whatever_the_graph(edges: dict[str, str]) -> None:
    table = waiting(**edges)
    told = [waiter for waiter in forest(table) if not waiter.again]
    assert sorted(waiter.path for waiter in told) == sorted({*edges, *edges.values()})
    knots = cycles(table)
    for knot in knots:
        assert [edges[path] for path in knot] == [*knot[1:], knot[0]]
    knotted = {path for knot in knots for path in knot}
    assert {waiter.path for waiter in told if waiter.in_cycle} == knotted
    trail: list[str] = []
    for waiter in forest(table):
        del trail[waiter.level :]
        trail.append(waiter.path)
        if waiter.level:
            assert edges[waiter.path] == trail[waiter.level - 1]
