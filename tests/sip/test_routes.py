"""Our own address towards a peer: remembered for a while, and no longer."""

from sip.routes import Routes, is_own, route_to


class Kernel:
    """Answers, and counts how often it is asked."""

    def __init__(self) -> None:
        self.address: str | None = "192.0.2.1"
        self.asked = 0

    def look(self, host: str) -> str | None:
        self.asked += 1
        return self.address


def test_an_answer_holds_for_half_a_minute() -> None:
    kernel = Kernel()
    routes = Routes(kernel.look)
    assert [routes.find(now_s, "198.51.100.1") for now_s in (0.0, 10.0, 29.9)] == ["192.0.2.1"] * 3
    assert kernel.asked == 1


def test_another_interface_is_noticed_without_a_restart() -> None:
    kernel = Kernel()
    routes = Routes(kernel.look)
    routes.find(0.0, "198.51.100.1")
    kernel.address = "192.0.2.2"
    assert routes.find(30.0, "198.51.100.1") == "192.0.2.2"


def test_that_there_is_no_way_is_not_remembered() -> None:
    kernel = Kernel()
    kernel.address = None
    routes = Routes(kernel.look)
    assert routes.find(0.0, "198.51.100.1") == "127.0.0.1"
    kernel.address = "192.0.2.1"
    assert routes.find(0.1, "198.51.100.1") == "192.0.2.1"


def test_a_flood_of_sources_fills_no_memory() -> None:
    routes = Routes(lambda _: "192.0.2.1")
    for number in range(10_000):
        routes.find(0.0, f"host {number}")
    assert len(routes._known) <= 4096


def test_every_address_of_this_machine_is_its_own() -> None:
    """baresip calls 127.0.0.1 from the address of the network card."""
    card = route_to("198.51.100.77")
    assert is_own("127.0.0.1")
    assert is_own("::1")
    assert is_own(card)
    assert not is_own("198.51.100.77")
