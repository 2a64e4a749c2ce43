"""Keys of ours: by the first means that the other side takes, by INFO one after the other."""

import pytest

from transports.sip_keys import read_info
from transports.sip_pressing import InfoKeys, KeySender, Means, write_info


class Peer:
    """Takes keys by some means, and notes them."""

    def __init__(self, *takes: Means, means: tuple[Means, ...] = ("rtp", "info", "inband")) -> None:
        self.takes = takes
        self.got: list[tuple[str, str]] = []
        self.sender = KeySender(
            means,
            press_events=lambda keys: self._take("rtp", keys),
            press_tones=lambda keys: self._take("inband", keys),
            takes_info=lambda: "info" in takes,
            send_info=lambda kind, body: self.got.append(("info", str(read_info(kind, body)))),
        )

    def _take(self, means: Means, keys: str) -> bool:
        if means in self.takes:
            self.got.append((means, keys))
        return means in self.takes


@pytest.mark.parametrize(
    ("takes", "expected"),
    [
        (("rtp", "info", "inband"), "rtp"),
        (("info", "inband"), "info"),
        (("inband",), "inband"),
        ((), None),
    ],
)
def test_the_first_means_that_the_peer_takes_is_used(takes: tuple[Means, ...], expected: str | None) -> None:
    assert Peer(*takes).sender.press("1") == expected


def test_the_operator_chooses_the_means_and_their_order() -> None:
    assert Peer("rtp", "inband", means=("inband", "rtp")).sender.press("1") == "inband"
    assert Peer("rtp", means=("info",)).sender.press("1") is None


def test_what_is_no_key_is_not_pressed() -> None:
    peer = Peer("rtp")
    for keys in ("x", "1" * 65):
        with pytest.raises(ValueError, match="keys are at most 64"):
            peer.sender.press(keys)
    assert peer.got == []


def test_by_info_each_key_waits_for_the_answer_to_the_one_before() -> None:
    peer = Peer("info")
    peer.sender.press("1#")
    peer.sender.handle_tick(0.0)
    peer.sender.handle_tick(5.0)
    assert peer.got == [("info", "1")]
    peer.sender.info_answered(200, 5.0)
    peer.sender.handle_tick(5.1)
    assert peer.got == [("info", "1")]
    peer.sender.handle_tick(5.2)
    assert peer.got == [("info", "1"), ("info", "#")]


def test_keys_that_info_does_not_bring_go_on_by_the_next_means() -> None:
    peer = Peer("info", "inband")
    peer.sender.press("123")
    peer.sender.handle_tick(0.0)
    peer.sender.info_answered(200, 0.1)
    peer.sender.handle_tick(0.5)
    assert peer.sender.info_answered(415, 0.6) == "inband"
    assert peer.got == [("info", "1"), ("info", "2"), ("inband", "23")]


def test_a_comma_is_half_a_second_without_a_key() -> None:
    keys = InfoKeys()
    keys.send("1,2")
    assert keys.take(0.0) == "1"
    keys.answered(0.0)
    assert keys.take(0.3) is None
    assert keys.take(0.5) is None
    assert keys.take(0.8) == "2"
    assert keys.is_sending
    keys.answered(1.0)
    assert not keys.is_sending


def test_a_key_by_info_is_written_as_gateways_read_it() -> None:
    assert write_info("*") == ("application/dtmf-relay", b"Signal=*\r\nDuration=100\r\n")
