import pytest

from voice.models.slots import Slots


def use(slots: Slots, session: str) -> int:
    slot = slots.acquire(session)
    slots.done(session)
    return slot


def test_a_session_keeps_its_slot() -> None:
    slots = Slots(2)
    first = use(slots, "a")
    use(slots, "b")
    assert use(slots, "a") == first


def test_the_least_recently_used_slot_is_given_away() -> None:
    slots = Slots(2)
    a, b = use(slots, "a"), use(slots, "b")
    use(slots, "a")
    assert use(slots, "c") == b
    assert use(slots, "a") == a


def test_a_slot_in_use_is_not_given_away() -> None:
    slots = Slots(1)
    slots.acquire("a")
    with pytest.raises(LookupError):
        slots.acquire("b")


def test_an_ended_sessions_slot_goes_first() -> None:
    slots = Slots(2)
    a, b = use(slots, "a"), use(slots, "b")
    slots.release("b")
    assert use(slots, "c") == b
    assert use(slots, "a") == a


def test_a_session_that_ends_while_it_computes_gives_its_slot_up_afterwards() -> None:
    slots = Slots(2)
    a = slots.acquire("a")
    use(slots, "b")
    slots.release("a")
    slots.done("a")
    assert use(slots, "c") == a


def test_releasing_a_session_without_a_slot_does_nothing() -> None:
    Slots(1).release("nobody")
