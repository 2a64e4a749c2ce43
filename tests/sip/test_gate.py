"""What is decided before a byte is read: known or not, too much or not, banned or not."""

from ipaddress import ip_network

import pytest

from sip.gate import Gate, GateLimits
from sip.routes import is_own
from sip.trunk import Trunk, TrunkTable

CARRIER = Trunk("carrier", (ip_network("198.51.100.0/24"),))
PHONES = Trunk("phones", passwords={"alice": "secret"})
FRIEND = ("198.51.100.7", 5060)
STRANGER = ("192.0.2.66", 5060)


def make_gate(*trunks: Trunk, **limits: float) -> Gate:
    return Gate(TrunkTable(trunks), GateLimits(**limits))


def test_an_unknown_source_is_dropped_and_gets_no_memory() -> None:
    gate = make_gate(CARRIER)
    assert not any(gate.admit(0.0, ("192.0.2.1", port)) for port in range(1000))
    assert gate.dropped == 1000
    assert gate._sockets == {}


def test_a_source_may_send_so_many_at_once_and_so_many_a_second() -> None:
    gate = make_gate(CARRIER, messages_per_s=10)
    assert sum(gate.admit(0.0, FRIEND) for _ in range(100)) == 20
    assert sum(gate.admit(1.0, FRIEND) for _ in range(100)) == 10


def test_a_flooding_socket_leaves_its_neighbours_their_share() -> None:
    gate = make_gate(CARRIER, messages_per_s=10)
    for _ in range(100_000):
        gate.admit(0.0, FRIEND)
    assert gate.admit(0.0, (FRIEND[0], 5062))


def test_changing_ports_does_not_help_a_flood() -> None:
    gate = make_gate(CARRIER, messages_per_s=10)
    assert sum(gate.admit(0.0, (FRIEND[0], port)) for port in range(1, 60_000)) == 80


def test_whoever_fails_too_often_is_banned_and_heard_again_later() -> None:
    gate = make_gate(PHONES, ban_after=3, ban_s=100)
    for _ in range(3):
        assert gate.admit(0.0, STRANGER)
        gate.blame(0.0, STRANGER[0])
    assert not gate.admit(1.0, STRANGER)
    assert not gate.admit(99.0, STRANGER)
    assert gate.admit(101.0, STRANGER)


def test_mistakes_far_apart_are_forgiven() -> None:
    gate = make_gate(PHONES, ban_after=3, ban_s=100)
    for hour in range(20):
        gate.blame(hour * 3600.0, STRANGER[0])
        assert gate.admit(hour * 3600.0, STRANGER)


def test_a_trunk_that_is_named_is_never_banned() -> None:
    gate = make_gate(CARRIER, PHONES, ban_after=1)
    for _ in range(100):
        gate.blame(0.0, FRIEND[0])
    assert gate.admit(0.0, FRIEND)


def test_whom_we_have_called_is_heard() -> None:
    gate = make_gate(CARRIER)
    assert not gate.admit(0.0, STRANGER)
    gate.expect(STRANGER[0])
    assert gate.admit(0.0, STRANGER)
    assert gate.trunks.find(STRANGER[0]) == ()  # but may not call


def test_sources_without_end_do_not_fill_the_memory() -> None:
    gate = make_gate(Trunk("all", (ip_network("0.0.0.0/0"),)))
    for number in range(30_000):
        gate.admit(0.0, (f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 5060))
        gate.blame(0.0, f"10.{number}")
    assert max(len(gate._sockets), len(gate._hosts), len(gate._scores)) <= 8192


@pytest.mark.parametrize(("host", "found"), [("127.0.0.1", "loopback"), ("::1", "loopback"), ("192.0.2.1", None)])
def test_an_endpoint_of_this_machine_trusts_this_machine(host: str, found: str | None) -> None:
    names = [trunk.name for trunk in TrunkTable((), is_own).find(host)]
    assert names == ([found] if found else [])
    assert TrunkTable(()).find(host) == ()


def test_a_named_trunk_comes_before_those_with_a_password_only() -> None:
    table = TrunkTable((PHONES, CARRIER))
    assert [trunk.name for trunk in table.find("198.51.100.9")] == ["carrier", "phones"]
    assert [trunk.name for trunk in table.find("::ffff:198.51.100.9")] == ["carrier", "phones"]
    assert [trunk.name for trunk in table.find("192.0.2.1")] == ["phones"]
    assert table.find("no address") == ()


def test_a_ban_is_at_once_and_ends() -> None:
    gate = make_gate(PHONES, ban_after=10, ban_s=600)
    gate.ban(0.0, STRANGER[0])
    assert not gate.admit(1.0, STRANGER)
    assert not gate.admit(599.0, STRANGER)
    assert gate.admit(601.0, STRANGER)
