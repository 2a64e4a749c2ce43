"""A connection is left before its limit, at a quiet moment where there is one."""

from voice.upstream.rotation import Rotation

PLAN = Rotation.plan(100.0, 3600.0, 120.0)


def test_nothing_happens_before_it_is_due():
    assert PLAN.step(100 + 3479, has_next=False, is_quiet=True) == "stay"


def test_the_next_is_made_before_the_old_one_is_left():
    assert PLAN.step(100 + 3480, has_next=False, is_quiet=True) == "make"
    assert PLAN.step(100 + 3481, has_next=True, is_quiet=True) == "switch"


def test_who_speaks_is_waited_for_until_the_end_is_near():
    assert PLAN.step(100 + 3500, has_next=True, is_quiet=False) == "stay"
    assert PLAN.step(100 + 3590, has_next=True, is_quiet=False) == "switch"


def test_a_short_session_is_left_after_half_of_it():
    plan = Rotation.plan(0.0, 6.0, 120.0)
    assert plan.step(2.9, has_next=False, is_quiet=True) == "stay"
    assert plan.step(3.0, has_next=False, is_quiet=True) == "make"
