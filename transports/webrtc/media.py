"""The media leg of a WebRTC peer: `transports.rtp.leg` by the terms of its description."""

import time
from collections.abc import Callable

from transports.live_audio import LiveAudio
from transports.rtp.leg import LegOwner, LegTerms, MediaLeg
from transports.rtp.quality import MediaTraffic
from transports.rtp.srtp import SrtpLeg
from transports.webrtc.description import Direction, Format


def media_leg(
    formats: tuple[Format, ...],
    direction: Direction,
    srtp: SrtpLeg,
    send: Callable[[bytes], None],
    audio: LiveAudio,
    traffic: MediaTraffic,
    *,
    ssrc: int,
) -> MediaLeg:
    """Return the leg, on the clock of `time.monotonic`.

    The first of `formats` is spoken, all are understood. `direction` is the peer's.
    """
    terms = LegTerms(
        sends=(formats[0].payload_type, formats[0].codec),
        receives={each.payload_type: each.codec for each in formats},
        srtp=srtp,
        speaks=direction in ("sendrecv", "recvonly"),
    )
    owner = LegOwner(send, send)
    return MediaLeg(terms, owner, audio, traffic, wall_offset_s=time.time() - time.monotonic(), ssrc=ssrc)
