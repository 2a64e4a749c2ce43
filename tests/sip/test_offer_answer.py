"""RFC 3264 for one audio stream. `offer` makes a peer's description from its audio lines."""

from dataclasses import replace

import pytest

from sip.codecs import G722, OPUS, PCMA, PCMU
from sip.errors import NotAcceptable, StateError
from sip.media import Direction, LocalMedia
from sip.offer_answer import OfferAnswer, OfferState
from sip.sdp import SessionDescription, parse_sdp

LOCAL = LocalMedia("203.0.113.7", 40_000)
AUDIO = "m=audio 49170 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\n"


def offer(lines: str = AUDIO, *, version: int = 1, address: str = "198.51.100.20") -> bytes:
    text = f"v=0\no=- 1 {version} IN IP4 198.51.100.20\ns=-\nc=IN IP4 {address}\nt=0 0\n{lines}"
    return text.replace("\n", "\r\n").encode()


def read(data: bytes) -> SessionDescription:
    session = parse_sdp(data)
    assert isinstance(session, SessionDescription), session
    return session


def answered(lines: str = AUDIO, local: LocalMedia = LOCAL, call: OfferAnswer | None = None, **more):
    """Return our answer to an offer and the agreement."""
    call = call or OfferAnswer("7")
    call.receive_offer(offer(lines, **more))
    session = read(call.make_answer(local))
    assert call.agreement is not None
    return session, call.agreement


def test_an_answer_names_one_codec_and_the_events() -> None:
    session, agreement = answered()
    (audio,) = session.media
    assert (audio.port, audio.protocol, audio.formats) == (40_000, "RTP/AVP", ("0", "101"))
    assert audio.get_all("rtpmap") == ["0 PCMU/8000", "101 telephone-event/8000"]
    assert agreement.codec.key == PCMU.key
    assert (agreement.remote_address, agreement.remote_port) == ("198.51.100.20", 49_170)
    assert (agreement.remote_rtcp_port, agreement.rtcp_mux) == (49_171, False)
    assert (agreement.send_event_type, agreement.receive_event_type) == (101, 101)
    assert (agreement.direction, agreement.ptime_ms) == (Direction.SENDRECV, 20)


def test_our_preference_or_theirs() -> None:
    local = replace(LOCAL, codecs=(PCMA, PCMU))
    assert answered(local=local)[1].codec.key == PCMA.key
    assert answered(local=replace(local, prefer_ours=False))[1].codec.key == PCMU.key


def test_dynamic_payload_types_are_the_offerers() -> None:
    lines = "m=audio 4000 RTP/AVP 99 97\na=rtpmap:99 opus/48000/2\na=fmtp:99 maxaveragebitrate=20000\n" \
            "a=rtpmap:97 telephone-event/48000\n"  # fmt: skip
    session, agreement = answered(lines, replace(LOCAL, codecs=(OPUS,)))
    assert session.media[0].formats == ("99", "97")
    assert (agreement.codec.payload_type, agreement.receive_payload_type, agreement.send_event_type) == (99, 99, 97)
    assert agreement.event_clock_hz == 48_000
    assert agreement.codec.fmtp == "maxaveragebitrate=20000"


def test_static_payload_types_need_no_rtpmap_and_g722_runs_at_8000() -> None:
    _, agreement = answered("m=audio 4000 RTP/AVP 9\n", replace(LOCAL, codecs=(G722,)))
    assert (agreement.codec.name, agreement.codec.clock_hz) == ("G722", 8_000)
    assert agreement.send_event_type is None


def test_other_streams_are_refused_in_their_places() -> None:
    lines = "m=video 5000 RTP/AVP 31\n" + AUDIO + "m=image 5002 udptl t38\nm=audio 5004 RTP/AVP 0\n"
    session, _ = answered(lines)
    assert [(media.kind, media.port, media.formats) for media in session.media] == [
        ("video", 0, ("31",)),
        ("audio", 40_000, ("0", "101")),
        ("image", 0, ("t38",)),
        ("audio", 0, ("0",)),
    ]


@pytest.mark.parametrize(
    ("lines", "warning"),
    [
        ("m=video 5000 RTP/AVP 31\n", 304),
        ("m=audio 0 RTP/AVP 0\n", 304),
        ("m=audio 5000 RTP/AVP 18\n", 305),
        ("m=audio 5000 RTP/AVP 101\na=rtpmap:101 telephone-event/8000\n", 305),
        ("m=audio 5000 UDP/TLS/RTP/SAVPF 0\n", 305),
        ("", 304),
    ],
)
def test_what_leaves_no_media_is_488_not_400(lines: str, warning: int) -> None:
    """Everything was answered 400 elsewhere: nobody could tell a codec mismatch from a bad message."""
    call = OfferAnswer("7")
    call.receive_offer(offer(lines))
    with pytest.raises(NotAcceptable) as caught:
        call.make_answer(LOCAL)
    assert (caught.value.status, caught.value.warning) == (488, warning)
    assert call.state is OfferState.STABLE


def test_a_body_that_is_no_description_is_400() -> None:
    with pytest.raises(NotAcceptable) as caught:
        OfferAnswer("7").receive_offer(b"hello")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("offered", "ours"),
    [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")],
)
def test_hold_is_answered_in_its_mirror(offered: str, ours: str) -> None:
    """The answer stayed sendrecv to a sendonly offer elsewhere: the carrier sent BYE after 60 ms."""
    session, agreement = answered(AUDIO + f"a={offered}\n")
    assert session.media[0].has(ours)
    assert agreement.direction.value == ours
    assert agreement.is_held is (offered in ("sendonly", "inactive"))


def test_a_session_level_direction_counts_for_the_stream() -> None:
    assert answered("a=sendonly\n" + AUDIO)[1].direction is Direction.RECVONLY
    assert answered("a=sendonly\n" + AUDIO + "a=sendrecv\n")[1].direction is Direction.SENDRECV


def test_the_old_hold_by_a_null_address() -> None:
    session, agreement = answered(address="0.0.0.0")
    assert session.media[0].has("recvonly")
    assert agreement.is_held


def test_hold_and_resume_by_re_invite_keep_the_call() -> None:
    """A re-INVITE ended the call elsewhere."""
    call = OfferAnswer("7")
    first, before = answered(call=call)
    held, during = answered(AUDIO + "a=sendonly\n", call=call, version=2)
    resumed, after = answered(call=call, version=3)
    assert [session.origin.version for session in (first, held, resumed)] == [1, 2, 3]
    assert during.is_held
    assert after == before


def test_a_new_port_and_codec_take_effect() -> None:
    """RTP kept going to the old port after a re-INVITE elsewhere."""
    call = OfferAnswer("7")
    answered(call=call)
    _, agreement = answered("m=audio 50000 RTP/AVP 8\nc=IN IP4 192.0.2.50\n", call=call, version=2)
    assert (agreement.remote_address, agreement.remote_port) == ("192.0.2.50", 50_000)
    assert agreement.codec.key == PCMA.key


def test_an_unchanged_offer_changes_nothing() -> None:
    call = OfferAnswer("7")
    first, before = answered(call=call)
    again, after = answered(call=call)
    assert again.encode() == first.encode()
    assert after == before


def test_a_refused_new_offer_leaves_what_was_agreed() -> None:
    call = OfferAnswer("7")
    _, before = answered(call=call)
    call.receive_offer(offer("m=audio 5000 RTP/AVP 18\n", version=2))
    with pytest.raises(NotAcceptable):
        call.make_answer(LOCAL)
    assert call.agreement == before
    answered(call=call, version=3)


def test_a_delayed_offer_is_made_in_the_200_and_answered_in_the_ack() -> None:
    """An INVITE without SDP was refused elsewhere."""
    call = OfferAnswer("7")
    ours = read(call.make_offer(LOCAL))
    assert ours.media[0].formats == ("0", "8", "9", "111", "101", "110")
    assert call.state is OfferState.OFFERED
    agreement = call.receive_answer(offer("m=audio 4000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000\n"))
    assert (agreement.codec.key, agreement.receive_payload_type) == (PCMA.key, 8)
    assert agreement.receive_event_type == 101


def test_an_answer_may_use_other_numbers_than_the_offer() -> None:
    call = OfferAnswer("7")
    call.make_offer(LOCAL)
    agreement = call.receive_answer(offer("m=audio 4000 RTP/AVP 120\na=rtpmap:120 opus/48000/2\n"))
    assert (agreement.codec.payload_type, agreement.receive_payload_type) == (120, 111)


@pytest.mark.parametrize(
    "lines", ["", "m=audio 0 RTP/AVP 0\n", "m=audio 4000 RTP/AVP 18\n", "m=audio 4000 RTP/AVP 101\n"]
)
def test_an_answer_that_leaves_no_media(lines: str) -> None:
    call = OfferAnswer("7")
    call.make_offer(LOCAL)
    with pytest.raises(NotAcceptable):
        call.receive_answer(offer(lines))
    assert call.state is OfferState.STABLE


def test_an_answer_that_only_listens_holds_nobody_but_us() -> None:
    call = OfferAnswer("7")
    call.make_offer(replace(LOCAL, direction=Direction.SENDONLY))
    assert call.receive_answer(offer(AUDIO + "a=recvonly\n")).direction is Direction.SENDONLY


def test_a_refresh_offers_the_same_again_and_a_hold_of_ours_a_new_version() -> None:
    call = OfferAnswer("7")
    first = read(call.make_offer(LOCAL))
    call.receive_answer(offer())
    again = read(call.make_offer(LOCAL))
    assert again.encode() == first.encode()
    call.receive_answer(offer())
    held = read(call.make_offer(replace(LOCAL, direction=Direction.SENDONLY)))
    assert held.origin.version == first.origin.version + 1
    assert held.media[0].has("sendonly")


def test_our_new_offer_keeps_their_numbers_and_their_places() -> None:
    call = OfferAnswer("7")
    lines = "m=video 5000 RTP/AVP 31\nm=audio 4000 RTP/AVP 99\na=rtpmap:99 opus/48000/2\n"
    answered(lines, replace(LOCAL, codecs=(OPUS, PCMU)), call)
    ours = read(call.make_offer(replace(LOCAL, codecs=(OPUS, PCMU))))
    assert [(media.kind, media.port) for media in ours.media] == [("video", 0), ("audio", 40_000)]
    assert "99 opus/48000/2" in ours.media[1].get_all("rtpmap")


def test_a_dropped_offer_leaves_the_machine_free() -> None:
    call = OfferAnswer("7")
    call.make_offer(LOCAL)
    with pytest.raises(StateError):
        call.receive_offer(offer())
    with pytest.raises(StateError):
        call.make_offer(LOCAL)
    call.drop_offer()
    answered(call=call)
    with pytest.raises(StateError):
        call.receive_answer(offer())
    with pytest.raises(StateError):
        call.make_answer(LOCAL)


@pytest.mark.parametrize(
    ("lines", "ptime"),
    [("a=ptime:30\n", 30), ("a=ptime:20.0\n", 20), ("a=maxptime:10\n", 10), ("a=ptime:x\n", 20), ("a=ptime:500\n", 60),
     ("a=ptime:1\n", 10)],
)  # fmt: skip
def test_packets_are_as_long_as_the_peer_likes(lines: str, ptime: int) -> None:
    assert answered(AUDIO + lines)[1].ptime_ms == ptime


def test_rtcp_mux_is_agreed_only_when_offered() -> None:
    session, agreement = answered(AUDIO + "a=rtcp-mux\n")
    assert session.media[0].has("rtcp-mux")
    assert agreement.rtcp_mux
    assert not answered()[0].media[0].has("rtcp-mux")
    assert not answered(AUDIO + "a=rtcp-mux\n", replace(LOCAL, rtcp_mux=False))[1].rtcp_mux


def test_rtcp_goes_where_the_peer_says() -> None:
    agreement = answered(AUDIO + "a=rtcp:53020 IN IP4 192.0.2.60\n")[1]
    assert (agreement.remote_rtcp_address, agreement.remote_rtcp_port) == ("192.0.2.60", 53_020)


def test_ipv6_is_named_as_such() -> None:
    session, _ = answered(local=replace(LOCAL, address="2001:db8::7"))
    assert str(session.connection) == "IN IP6 2001:db8::7"


def test_the_answer_carries_the_public_address_everywhere() -> None:
    """A private or loopback address in the SDP cost callers their audio."""
    session, _ = answered()
    assert {session.origin.address, session.connection.address} == {"203.0.113.7"}


def test_an_offer_is_small_enough_for_one_datagram() -> None:
    """A big INVITE was fragmented and lost."""
    assert len(OfferAnswer("7").make_offer(LOCAL)) < 600
