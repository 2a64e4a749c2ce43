"""A machine's addresses come and go."""

from transports.webrtc.network import Network, NetworkSettings


def test_a_laptop_that_changes_its_network_is_reached_on_the_new_one() -> None:
    looks = iter([("192.0.2.5",), ("198.51.100.9",)])
    network = Network(look=lambda: next(looks))
    assert network.addresses(100.0) == ("192.0.2.5",)
    assert network.addresses(104.0) == ("192.0.2.5",)
    assert network.addresses(106.0) == ("198.51.100.9",)


def test_addresses_that_were_configured_are_not_looked_for() -> None:
    network = Network(NetworkSettings(addresses=("192.0.2.5",)), look=lambda: ("198.51.100.9",))
    assert network.addresses(100.0) == ("192.0.2.5",)
