"""A peer that is silent for long enough is gone, and no other."""

from transports.webrtc.presence import Presence

TICKS_PER_S = 50


def silent_until_gone_s(presence: Presence, heard: int, limit_s: int = 60) -> int:
    """Return after how many seconds of silence the peer is given up."""
    return next(tick for tick in range(1, limit_s * TICKS_PER_S) if presence.tick(heard)) // TICKS_PER_S


def test_silence_of_the_time_set_is_the_end() -> None:
    presence = Presence(vanished_s=10)
    assert silent_until_gone_s(presence, heard=7) == 11  # the first look only sees where the number stands


def test_a_packet_now_and_then_is_enough() -> None:
    presence = Presence(vanished_s=3)
    assert not any(presence.tick(tick // (2 * TICKS_PER_S)) for tick in range(60 * TICKS_PER_S))


def test_who_was_heard_of_by_another_way_has_the_whole_time_again() -> None:
    presence = Presence(vanished_s=5)
    assert not any(presence.tick(7) for _ in range(5 * TICKS_PER_S))
    presence.vouch()
    assert silent_until_gone_s(presence, heard=7) == 5
