import struct
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.rtp.dtmf import KEYS, DtmfEnded, DtmfReceiver, DtmfSender, DtmfStarted, EventPacket

Found = DtmfStarted | DtmfEnded


def event(code: int, duration: int, *, end: bool = False) -> bytes:
    return struct.pack("!BBH", code, end << 7 | 10, duration)


def key_press(code: int, ticks: int = 5) -> list[bytes]:
    updates = [event(code, 160 * (tick + 1)) for tick in range(ticks)]
    return [*updates, *[event(code, 160 * ticks, end=True)] * 3]


def receive(packets: list[tuple[int, bytes]], lost: Collection[int] = (), until_ms: int = 0) -> list[Found]:
    receiver = DtmfReceiver(8000)
    found: list[Found] = []
    for number, (timestamp, payload) in enumerate(packets):
        if number not in lost:
            found += receiver.receive(payload, timestamp, number * 20.0)
        found += receiver.expire(number * 20.0)
    return found + receiver.expire(len(packets) * 20.0 + until_ms)


ONE = [(1000, payload) for payload in key_press(1)]


def test_a_key_is_reported_at_its_first_packet_and_ends_once() -> None:
    assert receive(ONE) == [DtmfStarted("1", 1000), DtmfEnded("1", 1000, 100.0)]


@pytest.mark.parametrize("lost", [{0}, {0, 1, 2}, {5}, {5, 6}, {1, 3, 5, 6}])
def test_lost_packets_lose_no_key(lost: set[int]) -> None:
    assert receive(ONE, lost) == [DtmfStarted("1", 1000), DtmfEnded("1", 1000, 100.0)]


def test_a_key_whose_ends_are_all_lost_ends_by_time() -> None:
    found = receive(ONE, {5, 6, 7}, until_ms=200)
    assert found == [DtmfStarted("1", 1000), DtmfEnded("1", 1000, 100.0)]


def test_a_key_whose_ends_are_all_lost_ends_with_the_next() -> None:
    found = receive(ONE + [(3000, payload) for payload in key_press(2)], {5, 6, 7})
    assert found == [
        *(DtmfStarted("1", 1000), DtmfEnded("1", 1000, 100.0)),
        *(DtmfStarted("2", 3000), DtmfEnded("2", 3000, 100.0)),
    ]


def test_the_same_key_twice_is_two_presses() -> None:
    found = receive(ONE + [(3000, payload) for payload in key_press(1)])
    assert [got.timestamp for got in found if isinstance(got, DtmfStarted)] == [1000, 3000]


def test_an_end_alone_is_a_whole_press() -> None:
    assert receive(ONE[5:6]) == [DtmfStarted("1", 1000), DtmfEnded("1", 1000, 100.0)]


def test_updates_that_come_after_the_end_start_nothing() -> None:
    assert len(receive(ONE + ONE[:5])) == 2


def test_a_press_longer_than_its_field_stays_one_key() -> None:
    packets = [(1000, event(5, 0xFFFF)), (1000 + 0xFFFF, event(5, 160)), (1000 + 0xFFFF, event(5, 320, end=True))]
    assert receive(packets) == [DtmfStarted("5", 1000), DtmfEnded("5", 1000, (0xFFFF + 320) / 8)]


def test_events_that_are_no_keys_are_passed_over() -> None:
    assert receive([(1, event(16, 160)), (2, event(255, 1, end=True))]) == []


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=20)), max_size=20))
def test_junk_never_raises(packets: list[tuple[int, bytes]]) -> None:
    receive(packets)


def sent(sender: DtmfSender, ticks: int) -> list[EventPacket | None]:
    return [sender.next_packet(tick * 160) for tick in range(ticks)]


def test_a_sent_key_has_one_marker_one_timestamp_and_three_ends() -> None:
    sender = DtmfSender(101, 8000)
    sender.send("5", tone_ms=100, gap_ms=40)
    packets = sent(sender, 12)
    key = [got for got in packets if got is not None]
    assert [got.marker for got in key] == [True] + [False] * 6
    assert {got.timestamp for got in key} == {0}
    assert [got.payload[1] >> 7 for got in key] == [0, 0, 0, 0, 1, 1, 1]
    assert [struct.unpack("!H", got.payload[2:])[0] for got in key] == [160, 320, 480, 640, 800, 800, 800]
    assert packets[7:] == [None] * 5
    assert not sender.is_sending


@pytest.mark.parametrize("tone_ms", [40, 70, 100, 250])
def test_what_is_sent_is_received_as_it_was_meant(tone_ms: int) -> None:
    sender, receiver = DtmfSender(101, 8000), DtmfReceiver(8000)
    found: list[Found] = []
    sender.send(KEYS + "1,1", tone_ms=tone_ms)
    for tick in range(2000):
        packet = sender.next_packet(tick * 160)
        if packet is not None:
            found += receiver.receive(packet.payload, packet.timestamp, tick * 20.0)
    assert not sender.is_sending
    assert "".join(got.key for got in found if isinstance(got, DtmfStarted)) == KEYS + "11"
    assert {got.duration_ms for got in found if isinstance(got, DtmfEnded)} == {float(tone_ms)}


@pytest.mark.parametrize("keys", ["x", "1" * 65])
def test_keys_that_no_telephone_has_are_refused(keys: str) -> None:
    with pytest.raises(ValueError, match="keys"):
        DtmfSender(101, 8000).send(keys)
