import pytest

from sip.glare import Collision, glare_delay_s, judge_offer


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (False, False, None),
        (True, False, Collision(491)),
        (False, True, Collision(500, retry_after=True)),
        (True, True, Collision(500, retry_after=True)),
    ],
)
def test_offers_that_collide(ours: bool, theirs: bool, verdict: Collision | None) -> None:
    assert judge_offer(ours_under_way=ours, theirs_unanswered=theirs) == verdict


def test_the_two_sides_wait_for_different_times() -> None:
    assert [glare_delay_s(owns_call_id=True, fraction=f) for f in (0, 0.5, 1)] == [2.1, 3.05, 4.0]
    assert [glare_delay_s(owns_call_id=False, fraction=f) for f in (0, 0.5, 1)] == [0.0, 1.0, 2.0]
