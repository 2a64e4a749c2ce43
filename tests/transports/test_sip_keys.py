"""Keys by whatever means they come: each once, and as a line for the agent."""

import pytest

from transports.sip_keys import KeyLine, KeyPad, events_of, read_info
from voice.protocol.client_events import ResponseCreate


@pytest.mark.parametrize(
    ("content_type", "body", "key"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", "5"),
        ("application/dtmf-relay", b"signal = #\nDuration=100", "#"),
        ("application/dtmf-relay", b"Signal=10\r\n", "*"),
        ("application/dtmf-relay", b"Signal=11\r\n", "#"),
        ("application/dtmf", b"7\r\n", "7"),
        ("application/dtmf", b"a", "A"),
        ("application/dtmf-relay", b"Duration=160", None),
        ("application/dtmf", b"flash", None),
        ("application/dtmf", b"", None),
        ("text/plain", b"5", None),
        ("application/dtmf", b"\xff\xfe", None),
    ],
)
def test_info_carries_a_key_as_phones_write_it(content_type: str, body: bytes, key: str | None) -> None:
    assert read_info(content_type, body) == key


def test_a_key_that_comes_by_two_means_is_one_press() -> None:
    pad = KeyPad()
    assert pad.press("5", "tone", 1.00)
    assert not pad.press("5", "rtp", 1.05)


def test_the_same_key_twice_by_one_means_is_two_presses() -> None:
    pad = KeyPad()
    assert pad.press("5", "rtp", 1.0)
    assert pad.press("5", "rtp", 1.3)


def test_another_key_right_after_counts() -> None:
    pad = KeyPad()
    assert pad.press("5", "rtp", 1.0)
    assert pad.press("6", "info", 1.1)


def test_a_line_is_complete_after_a_pause() -> None:
    line = KeyLine(2.0)
    line.press("1", 0.0)
    line.press("2", 1.0)
    assert line.take(2.9) is None
    assert line.take(3.0) == "12"
    assert line.take(9.0) is None


def test_hash_completes_a_line_at_once() -> None:
    line = KeyLine(2.0)
    line.press("4", 0.0)
    line.press("#", 0.5)
    assert line.take(0.5) == "4#"


def test_a_line_is_bounded() -> None:
    line = KeyLine(1.0)
    for _ in range(500):
        line.press("1", 0.0)
    assert line.take(2.0) == "1" * 64


def test_the_agent_is_told_in_words() -> None:
    message, answer = events_of("12#")
    assert message.item.model_dump(include={"role", "content"}, exclude_none=True) == {
        "role": "user",
        "content": [{"type": "input_text", "text": "[The caller pressed on the telephone keypad: 1 2 #]"}],
    }
    assert answer == ResponseCreate()
