import random
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transports.rtp.jitter_buffer import Conceal, JitterBuffer, JitterSettings, Play, Put, Silence

from .conftest import Listener, listen, packet


def steady(count: int, delay_ms: float = 5.0) -> list[tuple[float, int]]:
    return [(number * 20 + delay_ms, number) for number in range(count)]


def test_a_perfect_path_is_heard_whole_in_order_at_the_least_delay() -> None:
    listener = listen(steady(500), until_ms=10_200)
    assert listener.numbers == list(range(500))
    assert listener.buffer.counts.lost == 0
    assert max(listener.delays_ms[50:]) <= 5 + 20 + 20  # path, target, tick


def test_before_the_first_packet_there_is_silence() -> None:
    listener = listen([], until_ms=100)
    assert all(isinstance(got, Silence) for got in listener.taken)


@pytest.mark.parametrize("lost", [[10], [10, 30, 31], [10, 11, 12], list(range(50, 60))])
def test_a_lost_packet_is_concealed_once_and_delays_nothing(lost: list[int]) -> None:
    arrivals = [arrival for arrival in steady(200) if arrival[1] not in lost]
    listener = listen(arrivals, until_ms=4_100)
    assert listener.numbers == [number for number in range(200) if number not in lost]
    assert listener.delays_ms[-1] <= listener.delays_ms[5] + 12


def test_the_packet_behind_a_single_loss_comes_along_for_its_redundancy() -> None:
    listener = listen([a for a in steady(60, delay_ms=5) if a[1] != 30], until_ms=1_300)
    concealed = [got for got in listener.taken[:40] if isinstance(got, Conceal)]
    assert [got.sequence for got in concealed] == [30]
    assert concealed[0].following == packet(31)


def test_overtaken_packets_are_heard_in_order() -> None:
    arrivals = steady(200)
    for number in range(10, 190, 7):
        arrivals[number] = (arrivals[number][0] + 18, number)  # just behind... its successor comes 2 ms later
        arrivals[number + 1] = (arrivals[number + 1][0] - 4, number + 1)
    listener = listen(arrivals, until_ms=4_100)
    assert listener.numbers == sorted(listener.numbers)
    assert len(listener.numbers) >= 198
    assert listener.buffer.counts.reordered > 10


def test_a_repeated_packet_is_heard_once() -> None:
    arrivals = steady(100) + [(ms + 1, number) for ms, number in steady(100)]
    listener = listen(arrivals, until_ms=2_100)
    assert listener.numbers == list(range(100))
    assert listener.buffer.counts.duplicate == 100


def test_the_delay_grows_with_jitter_and_comes_back() -> None:
    chance = random.Random(1)
    arrivals = [
        (number * 20 + 5 + (chance.uniform(0, 60) if 500 <= number < 1500 else 0), number) for number in range(3500)
    ]
    listener = listen(arrivals, until_ms=70_100)
    calm, rough, after = (listener.delays_ms[at : at + 200] for at in (250, 1200, 3200))
    assert sum(rough) / 200 > sum(calm) / 200 + 25
    assert sum(after) / 200 < sum(calm) / 200 + 15
    assert len(listener.numbers) > 3500 * 0.97


def test_five_per_cent_loss_and_forty_milliseconds_of_jitter_lose_little_more_than_the_path_does() -> None:
    chance = random.Random(2)
    arrivals = [(number * 20 + chance.uniform(0, 40), number) for number in range(2000) if chance.random() > 0.05]
    listener = listen(arrivals, until_ms=40_100)
    assert len(listener.numbers) >= 0.975 * len(arrivals)
    assert max(listener.delays_ms) <= 120 + 40


def test_sequence_numbers_and_timestamps_wrap() -> None:
    make = partial(packet, first_sequence=65_530, first_timestamp=2**32 - 800)
    listener = listen(steady(100), until_ms=2_100, make=make)
    assert listener.numbers == list(range(100))
    assert listener.buffer.counts.restarts == 0


def test_an_outage_is_bounded_and_the_stream_goes_on() -> None:
    arrivals = [(ms if number not in range(100, 125) else 2_505.0, number) for number, (ms, _) in
                enumerate(steady(300))]  # fmt: skip
    listener = listen(arrivals, until_ms=6_200)
    assert max(listener.delays_ms) <= 120 + 5 + 20
    assert listener.numbers[-100:] == list(range(200, 300))
    assert listener.delays_ms[-1] < 60
    assert listener.count(Conceal) < 14  # then silence, not an endless buzz


def test_a_sender_that_pauses_is_silence_not_loss() -> None:
    arrivals = [(ms + (3_000 if number >= 50 else 0), number) for ms, number in steady(100)]

    def make(number: int):
        moved = packet(number)
        return moved._replace(timestamp=moved.timestamp + (24_000 if number >= 50 else 0))

    sent = lambda number: number * 20.0 + (3_000 if number >= 50 else 0)  # noqa: E731
    listener = listen(arrivals, until_ms=5_200, make=make, sent_ms=sent)
    assert listener.numbers == list(range(100))
    assert listener.buffer.counts.lost == 0
    assert listener.delays_ms[60] <= listener.delays_ms[20] + 12
    assert listener.count(Silence) > 100


def test_telephone_events_between_audio_are_no_loss() -> None:
    buffer = JitterBuffer(8000, lambda got: len(got.payload))
    listener = Listener(buffer)
    for tick in range(100):
        if 40 <= tick < 44:
            buffer.pass_by(packet(tick))
        else:
            buffer.put(packet(tick), tick * 20.0)
        listener.tick(tick * 20.0 + 7)
    assert buffer.counts.lost == 0


def test_a_new_ssrc_takes_over_and_stragglers_of_the_old_one_do_not_switch_back() -> None:
    buffer = JitterBuffer(8000, lambda got: len(got.payload))
    listener = Listener(buffer)
    for tick in range(100):
        now_ms = tick * 20.0
        if tick < 52:
            put_old = buffer.put(packet(tick, first_sequence=900), now_ms)
        if tick >= 50:
            buffer.put(packet(tick + 1000, ssrc=2, first_sequence=77, first_timestamp=10**9), now_ms + 1)
        listener.tick(now_ms + 7)
    assert put_old is Put.QUEUED  # the second of the new one was not there yet
    assert buffer.counts.restarts == 1
    assert listener.numbers[-40:] == list(range(listener.numbers[-1] - 39, listener.numbers[-1] + 1))
    assert listener.numbers[-1] >= 1097


def test_one_stray_datagram_changes_nothing() -> None:
    buffer = JitterBuffer(8000, lambda got: len(got.payload))
    listener = Listener(buffer)
    for tick in range(100):
        buffer.put(packet(tick), tick * 20.0)
        if tick % 10 == 5:
            assert buffer.put(packet(0, ssrc=9, first_sequence=tick * 77), tick * 20.0) is Put.STRAY
            assert buffer.put(packet(tick, first_timestamp=10**9)._replace(sequence=30_000), tick * 20.0) is Put.STRAY
        listener.tick(tick * 20.0 + 7)
    assert listener.numbers == list(range(len(listener.numbers)))
    assert buffer.counts.restarts == 0


@pytest.mark.parametrize("jump", [50_000_000, -50_000_000, 40_000])
def test_a_jump_of_timestamps_is_followed_after_two_packets(jump: int) -> None:
    def make(number: int):
        moved = packet(number, first_timestamp=10**9)
        return moved._replace(timestamp=moved.timestamp + (jump if number >= 50 else 0))

    listener = listen(steady(150), until_ms=3_200, make=make)
    assert listener.numbers[-95:] == list(range(55, 150))
    assert listener.delays_ms[-1] <= listener.delays_ms[20] + 15


@pytest.mark.parametrize("ppm", [300, -300])
def test_thirty_minutes_of_clock_drift_grow_no_delay_and_lose_nothing(ppm: int) -> None:
    count = 90_000
    period = 20 * (1 + ppm / 1e6)
    arrivals = [(number * period + 5, number) for number in range(count)]
    listener = listen(arrivals, until_ms=count * period, sent_ms=lambda number: number * period)
    assert len(listener.numbers) >= count - 4
    assert listener.buffer.counts.late == 0
    assert max(listener.delays_ms[1000:]) < 60
    assert listener.count(Conceal) <= 5


def test_a_flood_of_packets_is_bounded() -> None:
    buffer = JitterBuffer(8000, lambda got: len(got.payload))
    for number in range(2_000):
        buffer.put(packet(number)._replace(timestamp=number), 1.0)
    assert buffer.queued_packets <= 128


Event = st.tuples(
    st.integers(0, 60),  # order: which packet
    st.floats(0, 1500),  # extra delay
    st.sampled_from([1, 1, 1, 1, 2]),  # ssrc
    st.sampled_from([0, 0, 0, 0, 10**6, -(10**5)]),  # timestamp jump
)


@settings(max_examples=200, deadline=None)
@given(st.lists(Event, max_size=80), st.floats(0, 20))
def test_whatever_comes_every_tick_has_its_frame_nothing_is_heard_twice_and_order_holds(events, phase_ms) -> None:
    buffer = JitterBuffer(8000, lambda got: len(got.payload), JitterSettings())
    listener = Listener(buffer)
    arrivals = sorted(
        ((number * 20 + extra, packet(number, ssrc=ssrc, first_timestamp=10**7 + jump)))
        for number, extra, ssrc, jump in events
    )
    at, now_ms = 0, phase_ms
    while now_ms < 3_200:
        while at < len(arrivals) and arrivals[at][0] <= now_ms:
            buffer.put(arrivals[at][1], arrivals[at][0])
            at += 1
        listener.tick(now_ms)
        assert buffer.queued_packets <= 128
        now_ms += 20
    heard = [got.packet for got in listener.taken if isinstance(got, Play)]
    for before, after in pairwise(heard):
        if before.ssrc == after.ssrc and not buffer.counts.restarts:
            assert 0 < (after.sequence - before.sequence) & 0xFFFF < 32768
    assert buffer.queued_packets == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 90), min_size=50, max_size=50), st.sets(st.integers(0, 49)), st.floats(0, 20))
def test_no_packet_is_heard_later_than_the_bound(delays, lost, phase_ms) -> None:
    arrivals = [(number * 20 + delay, number) for number, delay in enumerate(delays) if number not in lost]
    listener = listen(arrivals, until_ms=1_500, phase_ms=phase_ms)
    base_ms = min((ms - number * 20 for ms, number in arrivals), default=0)
    first_ms = arrivals[0][0] - arrivals[0][1] * 20 if arrivals else 0
    assert all(delay <= max(base_ms, first_ms) + 120 + 20 + 1 for delay in listener.delays_ms)
    assert listener.numbers == sorted(set(listener.numbers))
