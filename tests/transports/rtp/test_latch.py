from ipaddress import ip_network

import pytest

from transports.rtp.latch import NEEDED, SILENT_MS, Latch, LatchRules

SDP = ("10.0.0.5", 4000)
NAT = ("198.51.100.7", 30_000)
STRANGER = ("203.0.113.66", 6666)


def send(latch: Latch, source: tuple[str, int], count: int = 1, *, ssrc: int = 1, first: int = 0, now_ms: float = 0):
    return [latch.accept(source, ssrc, first + number, now_ms + 20 * number) for number in range(count)]


def test_media_goes_to_the_sdp_address_until_a_source_is_learned() -> None:
    latch = Latch(SDP)
    assert (latch.destination, latch.source) == (SDP, None)
    assert send(latch, SDP) == [True]
    assert latch.source == SDP


def test_a_peer_behind_nat_is_learned_from_packets_in_sequence() -> None:
    latch = Latch(SDP, LatchRules(signalling_host=NAT[0]))
    assert send(latch, NAT, NEEDED) == [False] * (NEEDED - 1) + [True]
    assert latch.destination == NAT


@pytest.mark.parametrize("rules", [LatchRules(), LatchRules(signalling_host=NAT[0])])
def test_a_stranger_is_never_learned(rules: LatchRules) -> None:
    latch = Latch(SDP, rules)
    assert not any(send(latch, STRANGER, 100))
    assert latch.destination == SDP
    assert latch.rejected_packets == 100


def test_a_listed_network_may_send_and_others_not() -> None:
    latch = Latch(SDP, LatchRules(networks=(ip_network("198.51.100.0/24"),)))
    assert not any(send(latch, STRANGER, 10))
    assert send(latch, NAT, NEEDED)[-1]


def test_an_open_leg_learns_its_first_source_only() -> None:
    latch = Latch(SDP, LatchRules(open=True))
    assert send(latch, NAT, NEEDED)[-1]
    assert not any(send(latch, STRANGER, 10))
    assert not any(send(latch, STRANGER, 10, now_ms=60_000))  # nor after silence
    assert latch.destination == NAT


def test_a_spray_of_single_packets_learns_nothing() -> None:
    latch = Latch(SDP, LatchRules(open=True))
    assert not any(latch.accept((STRANGER[0], port), port, 7, 0.0) for port in range(1024, 2048))


def test_packets_out_of_sequence_prove_nothing() -> None:
    latch = Latch(SDP, LatchRules(open=True))
    assert not any(latch.accept(STRANGER, 1, sequence, 0.0) for sequence in (5, 900, 3, 30_000, 77, 77, 77))


def test_a_second_source_cannot_keep_the_peer_from_proving_itself() -> None:
    latch = Latch(SDP, LatchRules(signalling_host=NAT[0]))
    for number in range(NEEDED):
        latch.accept((NAT[0], 9), number * 100, number * 100, 0.0)
        latch.accept(NAT, 1, number, 0.0)
    assert latch.destination == NAT


def test_a_learned_source_stands_while_it_sends() -> None:
    latch = Latch(SDP)
    send(latch, SDP)
    other = (SDP[0], 5000)
    for number in range(500):
        latch.accept(SDP, 1, number, number * 20.0)
        assert not latch.accept(other, 1, number, number * 20.0)
    assert latch.moves == 0


def test_a_source_that_fell_silent_may_be_replaced_by_an_allowed_one() -> None:
    latch = Latch(SDP)
    send(latch, SDP)
    other = (SDP[0], 5000)
    assert not any(send(latch, other, 10, now_ms=100))
    assert send(latch, other, NEEDED, now_ms=SILENT_MS + 1)[-1]
    assert (latch.destination, latch.moves) == (other, 1)


def test_a_new_offer_with_another_address_starts_over_and_the_same_one_does_not() -> None:
    latch = Latch(SDP, LatchRules(signalling_host=NAT[0]))
    send(latch, NAT, NEEDED)
    latch.restart(SDP)
    assert latch.destination == NAT
    moved = ("10.0.0.9", 4444)
    latch.restart(moved)
    assert latch.destination == moved
    assert not latch.accept(SDP, 1, 50, 0.0)


def test_an_authenticated_packet_moves_at_once() -> None:
    latch = Latch(SDP)
    send(latch, SDP)
    assert latch.accept(STRANGER, 1, 9, 10.0, authenticated=True)
    assert latch.destination == STRANGER
