"""When a request is made again."""

import pytest

from voice.remote.retry import RetryPolicy, may_retry, retry_after_s


def test_waits_grow_and_are_spread() -> None:
    policy = RetryPolicy(attempts=4, base_s=0.2, longest_s=1.0)
    assert [policy.wait_s(attempt, None, 1.0) for attempt in (1, 2, 3, 4)] == [0.2, 0.4, 0.8, None]
    assert policy.wait_s(1, None, 0.0) == 0.1


def test_what_the_server_asks_for_is_kept_unless_nobody_would_wait_for_it() -> None:
    policy = RetryPolicy(longest_s=2.0)
    assert policy.wait_s(1, 1.5, 0.0) == 1.5
    assert policy.wait_s(1, 30.0, 0.0) is None


@pytest.mark.parametrize(
    ("status", "code", "again"),
    [
        (429, None, True),
        (429, "insufficient_quota", False),
        (500, None, True),
        (503, None, True),
        (408, None, True),
        (400, None, False),
        (401, "invalid_api_key", False),
        (404, None, False),
    ],
)
def test_only_what_may_pass_is_asked_again(status: int, code: str | None, again: bool) -> None:
    assert may_retry(status, code) is again


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_the_wait_is_read_from_either_header(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds
