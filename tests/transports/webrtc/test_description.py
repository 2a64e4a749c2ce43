"""Offers as browsers make them, and as nobody should.

Those in `tests/data/sdp` have the form of real ones that were published, with addresses and keys of nobody.
"""

import dataclasses
from pathlib import Path

import pytest

from sip.message import Rejection
from sip.sdp import SessionDescription, parse_sdp
from transports.rtp.codecs import OPUS, PCMA, PCMU
from transports.webrtc import description
from transports.webrtc.description import IceCredentials, LocalDescription
from transports.webrtc.errors import DescriptionRefused

BROWSERS = Path(__file__).parents[2] / "data" / "sdp"
FINGERPRINT = ":".join(["AB"] * 32)

LOCAL = LocalDescription(
    ice=IceCredentials("ours", "ourpasswordourpassword"),
    fingerprints=(("sha-256", FINGERPRINT),),
    candidates=("1 1 udp 2130706431 192.0.2.1 40000 typ host",),
    ssrc=1234,
    host="192.0.2.1",
    port=40000,
)

AUDIO = f"""m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=ice-ufrag:k3uC
a=ice-pwd:GtH9klZDBDxNn0+hO/L19opf
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtpmap:63 red/48000/2
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
"""
CHANNEL = """m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:1
a=sctp-port:5000
a=max-message-size:262144
"""
VIDEO = """m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:2
a=rtpmap:96 VP8/90000
"""
HEAD = "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n"


def offer(*parts: str, group: str = "0 1 2") -> str:
    return HEAD + f"a=group:BUNDLE {group}\n" + "".join(parts)


def answer_to(text: str) -> SessionDescription:
    parsed = parse_sdp(description.answer(description.read(text), LOCAL).encode())
    assert not isinstance(parsed, Rejection)
    return parsed


def test_a_browser_s_offer_is_understood() -> None:
    read = description.read(offer(AUDIO, CHANNEL))
    assert [each.codec for each in read.formats] == [OPUS, PCMU, PCMA]
    assert read.formats[0].payload_type == 111
    assert (read.audio, read.channel) == (0, 1)
    assert read.candidates == ()
    assert read.terms.max_message_bytes == 262144


def test_the_answer_accepts_audio_and_channel_in_one_bundle() -> None:
    answer = answer_to(offer(AUDIO, CHANNEL))
    assert answer.get("group") == "BUNDLE 0 1"
    audio, channel = answer.media
    assert audio.get("setup") == "active"
    assert audio.formats == ("111", "0", "8")
    assert audio.get("candidate") == LOCAL.candidates[0]
    assert channel.get("sctp-port") == "5000"


def test_video_and_a_second_audio_are_rejected_in_their_place() -> None:
    second = AUDIO.replace("a=mid:0", "a=mid:3")
    answer = answer_to(offer(VIDEO, AUDIO, second, CHANNEL, group="0 1 2 3"))
    assert [media.kind for media in answer.media] == ["video", "audio", "audio", "application"]
    assert [media.port for media in answer.media] == [0, 40000, 0, 40000]
    assert answer.get("group") == "BUNDLE 0 1"


def test_the_order_of_an_offer_does_not_matter() -> None:
    assert [media.kind for media in answer_to(offer(CHANNEL, AUDIO)).media] == ["application", "audio"]


def test_a_channel_outside_the_bundle_is_rejected() -> None:
    answer = answer_to(offer(AUDIO, CHANNEL, group="0"))
    assert [media.port for media in answer.media] == [40000, 0]


@pytest.mark.parametrize(
    ("browser", "opus", "direction", "max_bytes", "candidates"),
    [
        ("firefox", 109, "sendrecv", 1_073_741_823, 4),
        ("firefox-listener", 109, "recvonly", 1_073_741_823, 0),
        ("safari", 111, "sendrecv", 262_144, 3),
        ("safari-12", 111, "sendrecv", 65_536, 0),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_firefox_and_safari_are_understood(
    browser: str, opus: int, direction: str, max_bytes: int, candidates: int, end: str
) -> None:
    text = (BROWSERS / f"{browser}.sdp").read_text().replace("\n", end)
    read = description.read(text)
    assert [(each.payload_type, each.codec) for each in read.formats] == [(opus, OPUS), (0, PCMU), (8, PCMA)]
    assert (read.audio, read.channel) == (0, 1)
    assert (read.direction, read.setup) == (direction, "actpass")
    assert read.terms == description.ChannelTerms(5000, max_bytes)
    assert len(read.candidates) == candidates
    audio, channel = answer_to(text).media
    assert audio.formats == (str(opus), "0", "8")
    assert audio.has("rtcp-mux")
    assert audio.has("sendonly" if direction == "recvonly" else direction)
    assert (channel.port, channel.get("setup")) == (40000, "active")


def test_the_old_form_of_a_channel_is_answered_in_it() -> None:
    channel = answer_to((BROWSERS / "safari-12.sdp").read_text()).media[1]
    assert (channel.protocol, channel.formats) == ("DTLS/SCTP", ("5000",))
    assert channel.get("sctpmap") == "5000 webrtc-datachannel 1024"
    assert channel.get("sctp-port") is None


def test_who_does_not_listen_is_promised_no_track() -> None:
    audio = answer_to(offer(AUDIO.replace("sendrecv", "sendonly"))).media[0]
    assert audio.get("msid") is None
    assert audio.get("ssrc") is None


@pytest.mark.parametrize(
    ("offered", "answered"),
    [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")],
)
def test_the_direction_is_answered(offered: str, answered: str) -> None:
    assert answer_to(offer(AUDIO.replace("sendrecv", offered))).media[0].has(answered)


def test_who_wants_to_be_active_is_let() -> None:
    assert answer_to(offer(AUDIO.replace("actpass", "active"))).media[0].get("setup") == "passive"


def test_g711_without_rtpmap_is_known_by_its_number() -> None:
    plain = "\n".join(line for line in AUDIO.splitlines() if "rtpmap" not in line) + "\n"
    read = description.read(offer(plain))
    assert [each.codec for each in read.formats] == [PCMU, PCMA]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("   \r\n", "empty"),
        ("v=0", "o="),
        ("hello", "v=0"),
        (offer(CHANNEL), "no audio"),
        (offer(VIDEO, CHANNEL), "no audio"),
        (offer(AUDIO.replace("m=audio 9", "m=audio 0")), "no audio"),
        (offer(AUDIO.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP")), "no audio"),
        (offer(AUDIO.replace("111 63 9 0 8", "63 9")), "no codec"),
        (offer(AUDIO.replace("a=ice-pwd:GtH9klZDBDxNn0+hO/L19opf\n", "")), "ICE credentials"),
        (offer(AUDIO.replace("sha-256", "md5")), "fingerprint"),
        (offer(AUDIO.replace("actpass", "holdconn")), "setup"),
        (offer(AUDIO) + "a=x:y\n" * 5000, "too"),
        (offer(AUDIO) * 100, "too"),
        (offer(AUDIO)[:12], "o="),
    ],
)
def test_what_is_no_offer_is_refused_in_words(text: str, word: str) -> None:
    with pytest.raises(DescriptionRefused, match=word):
        description.read(text)


@pytest.mark.parametrize("length", range(0, len(offer(AUDIO, CHANNEL)), 7))
def test_a_cut_offer_is_read_or_refused(length: int) -> None:
    try:
        read = description.read(offer(AUDIO, CHANNEL)[:length])
    except DescriptionRefused:
        return
    description.answer(read, LOCAL)


def test_an_offer_of_ours_can_be_answered_by_us() -> None:
    read = description.read(description.offer(LOCAL))
    assert read.channel == 1
    assert read.formats[0].codec is OPUS
    answered = description.read(description.answer(read, dataclasses.replace(LOCAL, ssrc=5)))
    assert answered.setup == "active"
    assert answered.candidates == LOCAL.candidates
