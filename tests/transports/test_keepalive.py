"""The watch over a connection, its looks stepped by hand."""

from collections.abc import Callable

import pytest

from transports.keepalive import KeepAlive

Watch = Callable[[float, float], tuple[KeepAlive, list[str]]]


@pytest.fixture
def watch() -> Watch:
    """Return a function that makes a watch and the list of what it does."""

    def make(ping_s: float, drop_after_s: float) -> tuple[KeepAlive, list[str]]:
        done: list[str] = []
        keep_alive = KeepAlive(
            lambda: done.append("ping"), lambda: done.append("gone"), ping_s=ping_s, drop_after_s=drop_after_s
        )
        return keep_alive, done

    return make


def test_a_silent_peer_is_pinged_and_then_given_up(watch: Watch) -> None:
    keep_alive, done = watch(30, 120)
    assert [keep_alive.look() for _ in range(5)] == [True, True, True, True, False]
    assert done == ["ping", "ping", "ping", "gone"]


def test_whoever_speaks_is_never_pinged(watch: Watch) -> None:
    keep_alive, done = watch(30, 120)
    for _ in range(20):
        keep_alive.silent_rounds = 0
        assert keep_alive.look()
    assert done == []


def test_a_pong_in_the_last_moment_starts_anew(watch: Watch) -> None:
    keep_alive, done = watch(30, 120)
    for _ in range(4):
        keep_alive.look()
    keep_alive.silent_rounds = 0
    assert keep_alive.look()
    assert "gone" not in done


def test_nobody_is_given_up_without_a_ping(watch: Watch) -> None:
    keep_alive, done = watch(30, 1)
    while keep_alive.look():
        pass
    assert done == ["ping", "gone"]
