import pytest

from sip.session_timer import Due, SessionTimer, TimerPolicy

ABLE = "Supported: timer"


def test_a_carrier_that_wants_a_timer_gets_it_though_we_asked_for_none(make_request) -> None:
    """Carriers' refreshes went unanswered elsewhere: four of five 15-minute calls were lost."""
    timer = SessionTimer(TimerPolicy(interval_s=0))
    request = make_request(more=f"{ABLE}\nSession-Expires: 900;refresher=uac")
    assert timer.check(request) is None
    assert timer.accept(0.0, request) == [("Require", "timer"), ("Session-Expires", "900;refresher=uac")]
    assert not timer.is_refresher
    assert timer.next_deadline() == 900 - 32
    assert timer.handle_timer(867) is Due.NOTHING
    timer.accept(450.0, make_request("UPDATE", to_tag="us", more=f"{ABLE}\nSession-Expires: 900;refresher=uac"))
    assert timer.next_deadline() == 450 + 868


def test_when_no_refresh_comes_the_call_is_ended(make_request) -> None:
    timer = SessionTimer()
    timer.accept(0.0, make_request(more=f"{ABLE}\nSession-Expires: 90;refresher=uac"))
    assert timer.next_deadline() == 60  # 90 - min(32, 30)
    assert timer.handle_timer(60) is Due.EXPIRED
    assert timer.next_deadline() is None


def test_we_refresh_at_half_time(make_request, reply) -> None:
    timer = SessionTimer(TimerPolicy(interval_s=600))
    headers = timer.accept(0.0, make_request(more=ABLE))
    assert headers == [("Session-Expires", "600;refresher=uas")]
    assert timer.next_deadline() == 300
    assert timer.handle_timer(300) is Due.REFRESH
    assert timer.handle_timer(300) is Due.NOTHING
    update = make_request("UPDATE", to_tag="us")
    assert timer.request_headers() == [("Session-Expires", "600;refresher=uac"), ("Min-SE", "90")]
    timer.receive_answer(301, reply(update, 200, more="Session-Expires: 600;refresher=uac"))
    assert timer.next_deadline() == 601


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (f"{ABLE}\nSession-Expires: 1800", "1800;refresher=uas"),
        (f"{ABLE}\nSession-Expires: 1800;refresher=uac", "1800;refresher=uac"),
        (f"{ABLE}\nSession-Expires: 1800;refresher=uas", "1800;refresher=uas"),
        ("Session-Expires: 1800", "1800;refresher=uas"),  # a proxy asked, the caller cannot
        (f"{ABLE}\nx: 7200;refresher=uac", "1800;refresher=uac"),  # compact, and ours is shorter
        (f"{ABLE}\nSession-Expires: 7200;refresher=uac\nMin-SE: 3600", "3600;refresher=uac"),
    ],
)
def test_who_refreshes_and_how_often(make_request, more: str, expected: str) -> None:
    request = make_request(more=more)
    timer = SessionTimer()
    assert timer.check(request) is None
    assert dict(timer.accept(0, request))["Session-Expires"] == expected


def test_a_peer_without_the_extension_gets_no_timer(make_request) -> None:
    timer = SessionTimer()
    assert timer.accept(0, make_request()) == []
    assert timer.next_deadline() is None


def test_too_small_an_interval_is_422_with_min_se(make_request) -> None:
    rejection = SessionTimer().check(make_request(more=f"{ABLE}\nSession-Expires: 30"))
    assert rejection is not None
    assert (rejection.status, rejection.extra) == (422, (("Min-SE", "90"),))


def test_a_proxys_small_interval_is_raised_not_refused(make_request) -> None:
    timer = SessionTimer()
    request = make_request(more="Session-Expires: 30")
    assert timer.check(request) is None
    assert timer.accept(0, request) == [("Session-Expires", "90;refresher=uas")]


@pytest.mark.parametrize("value", ["x", "-5", "9" * 40, ";refresher=uac"])
def test_an_unreadable_interval_is_400(make_request, value: str) -> None:
    rejection = SessionTimer().check(make_request(more=f"{ABLE}\nSession-Expires: {value}"))
    assert rejection is not None
    assert rejection.status == 400


def test_a_422_raises_our_interval(make_request, reply) -> None:
    timer = SessionTimer(TimerPolicy(interval_s=120))
    assert timer.request_headers() == [("Session-Expires", "120"), ("Min-SE", "90")]
    assert timer.receive_too_small(reply(make_request(), 422, more="Min-SE: 600"))
    assert timer.request_headers() == [("Session-Expires", "600"), ("Min-SE", "600")]
    assert not timer.receive_too_small(reply(make_request(), 422, more="Min-SE: 600"))
    assert not timer.receive_too_small(reply(make_request(), 422, more="Min-SE: x"))


def test_as_caller_the_answer_decides_and_none_means_none(make_request, reply) -> None:
    timer = SessionTimer()
    timer.receive_answer(0, reply(make_request(), 200, more="Session-Expires: 300;refresher=uas"))
    assert (timer.is_refresher, timer.next_deadline()) == (False, 268)
    timer.receive_answer(1, reply(make_request(), 200, more="Session-Expires: 300;refresher=uac"))
    assert (timer.is_refresher, timer.next_deadline()) == (True, 151)
    timer.receive_answer(2, reply(make_request(), 200))
    assert timer.next_deadline() is None


@pytest.mark.parametrize("status", [408, 481])
def test_a_refresh_that_finds_no_call_ends_it(make_request, status: int) -> None:
    timer = SessionTimer()
    timer.accept(0, make_request(more=ABLE))
    timer.handle_timer(900)
    assert timer.refresh_failed(901, status) is Due.EXPIRED


def test_another_failure_is_tried_again_until_expiry(make_request) -> None:
    timer = SessionTimer()
    timer.accept(0, make_request(more=ABLE))
    assert timer.handle_timer(900) is Due.REFRESH
    assert timer.refresh_failed(901, 491, retry_s=2) is Due.NOTHING
    assert timer.handle_timer(903) is Due.REFRESH
    assert timer.handle_timer(1768) is Due.EXPIRED
