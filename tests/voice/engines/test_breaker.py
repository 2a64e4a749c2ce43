"""A circuit breaker leaves alone what keeps failing, and finds out when it works again."""

from voice.engines.breaker import Breaker


def opened() -> Breaker:
    breaker = Breaker(threshold=3, open_s=5.0, longest_s=12.0)
    for now_s in (0.0, 1.0, 2.0):
        breaker.note_failure(now_s)
    return breaker


def test_it_opens_at_the_threshold_and_not_before():
    breaker = Breaker(threshold=2)
    breaker.note_failure(0.0)
    assert breaker.allows(0.0)
    breaker.note_failure(0.0)
    assert not breaker.allows(1.0)


def test_a_success_in_between_starts_the_count_anew():
    breaker = Breaker(threshold=2)
    breaker.note_failure(0.0)
    breaker.note_success()
    breaker.note_failure(0.0)
    assert breaker.allows(0.0)


def test_one_is_let_through_when_its_time_is_over():
    breaker = opened()
    assert not breaker.allows(6.9)
    assert breaker.allows(7.0)
    assert not breaker.allows(7.1)
    breaker.note_success()
    assert breaker.allows(7.2)


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_the_longest():
    breaker = opened()
    assert breaker.allows(7.0)
    breaker.note_failure(7.0)
    assert not breaker.allows(16.9)
    assert breaker.allows(17.0)
    breaker.note_failure(17.0)
    assert breaker.allows(29.0)


def test_a_refusal_opens_it_at_once():
    breaker = Breaker(threshold=3)
    breaker.note_failure(0.0, is_final=True)
    assert not breaker.allows(0.1)
