"""Offers and answers (JSEP, RFC 9429) of one kind of call: one audio stream and one data channel over one bundle.

    offer   m=audio, m=application, m=video, a second m=audio      any order, any codecs, with or without candidates
    answer  accepted, accepted,     port 0,  port 0                 in the order of the offer (RFC 3264 §6)

Reading goes through the parser that the telephone uses too: bounded, and what is wrong is a `DescriptionRefused`.
"""

import re
import secrets
from dataclasses import dataclass, field
from typing import Final, Literal

from sip.message import Rejection
from sip.sdp import Connection, Media, Origin, SessionDescription, parse_sdp
from transports.rtp.codecs import OPUS, PCMA, PCMU, Codec
from transports.webrtc.errors import DescriptionRefused

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Setup = Literal["actpass", "active", "passive"]

OPUS_TYPE: Final = 111
SCTP_PORT: Final = 5000
MAX_MESSAGE_BYTES: Final = 65_536
"""What this end takes in one message, as the SCTP underneath announces it."""

AUDIO_PROTOCOLS: Final = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP"})
_OLD_CHANNEL = "DTLS/SCTP"
CHANNEL_PROTOCOLS: Final = frozenset({"UDP/DTLS/SCTP", _OLD_CHANNEL, "TCP/DTLS/SCTP"})

_CODECS = (OPUS, PCMU, PCMA)
_OPUS_PARAMETERS = "minptime=10;useinbandfec=1;maxplaybackrate=24000"
_DEFAULT_MESSAGE_BYTES = 65_536  # where the peer announces none (RFC 8841 §6.1)
_MAX_CANDIDATES = 64
_DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")
_ANSWERS: dict[Direction, Direction] = {"sendonly": "recvonly", "recvonly": "sendonly"}
_CREDENTIAL = re.compile(r"[A-Za-z0-9+/_-]{4,256}")  # RFC 8839 §5.4; "_-" are not in it, and met
_FINGERPRINT = re.compile(r"(sha-(?:256|384|512))\s+([0-9A-F]{2}(?::[0-9A-F]{2}){31,63})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """What an end's connectivity checks are signed with."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Format:
    """A codec and the payload type that it has in this call."""

    payload_type: int
    codec: Codec


@dataclass(frozen=True, slots=True)
class ChannelTerms:
    """How the data channel's association is reached."""

    sctp_port: int = SCTP_PORT
    max_message_bytes: int = MAX_MESSAGE_BYTES
    """What that end takes; 0 is any size."""


@dataclass(frozen=True, slots=True)
class RemoteDescription:
    """What a peer's offer or answer says, as far as it matters here."""

    media: tuple[Media, ...]
    audio: int
    """Index of the audio m-line that is used."""
    channel: int | None
    """Index of the data channel's m-line; None where there is none, or none in the bundle."""
    formats: tuple[Format, ...]
    """What both ends know, the one to send first."""
    direction: Direction
    ice: IceCredentials
    ice_lite: bool
    candidates: tuple[str, ...]
    """Values of `a=candidate`, not interpreted."""
    fingerprints: tuple[tuple[str, str], ...]
    """Hash algorithm and value, of the certificate that the peer will show."""
    setup: Setup
    terms: ChannelTerms


@dataclass(frozen=True, slots=True)
class LocalDescription:
    """What this end says of itself."""

    ice: IceCredentials
    fingerprints: tuple[tuple[str, str], ...]
    candidates: tuple[str, ...]
    ssrc: int
    host: str
    """The default candidate's address, for the `c=` line."""
    port: int


def read(text: str) -> RemoteDescription:
    """Read an offer or an answer. Raises: DescriptionRefused."""
    if not text.strip():
        raise DescriptionRefused("The SDP is empty.")
    parsed = parse_sdp(text.strip().encode("utf-8", "surrogateescape"))
    if isinstance(parsed, Rejection):
        raise DescriptionRefused(f"The SDP cannot be read: {parsed.reason}.")
    audio = next((at for at, media in enumerate(parsed.media) if _is_live_audio(media)), None)
    if audio is None:
        raise DescriptionRefused("The SDP has no audio: add a microphone track or an audio transceiver.")
    media = parsed.media[audio]
    formats = _formats(media)
    if not formats:
        raise DescriptionRefused("The SDP has no codec in common with this service: it takes opus, PCMU and PCMA.")
    channel = next((at for at, other in enumerate(parsed.media) if _is_bundled_channel(parsed, media, other)), None)
    return RemoteDescription(
        media=tuple(parsed.media),
        audio=audio,
        channel=channel,
        formats=formats,
        direction=_direction(parsed, media),
        ice=_credentials(parsed, media),
        ice_lite=parsed.has("ice-lite"),
        candidates=tuple(media.get_all("candidate")[:_MAX_CANDIDATES]),
        fingerprints=_fingerprints(parsed, media),
        setup=_setup(media.get("setup") or parsed.get("setup")),
        terms=_channel_terms(parsed.media[channel]) if channel is not None else ChannelTerms(),
    )


def _is_live_audio(media: Media) -> bool:
    is_bundle_only = media.has("bundle-only")  # such a line has port 0 and is alive (RFC 9143 §6)
    return media.kind == "audio" and media.protocol in AUDIO_PROTOCOLS and (media.port != 0 or is_bundle_only)


def _is_bundled_channel(session: SessionDescription, audio: Media, media: Media) -> bool:
    if media.kind != "application" or media.protocol not in CHANNEL_PROTOCOLS:
        return False
    groups = [value.split()[1:] for name, value in session.attributes if name == "group" and value]
    return any(audio.get("mid") in group and media.get("mid") in group for group in groups)


def _direction(session: SessionDescription, media: Media) -> Direction:
    """Return what an m-line says, else what holds for all (RFC 8866 §6.7): Firefox says both, and not the same."""
    said = (each for where in (media, session) for each in _DIRECTIONS if where.has(each))
    return next(said, "sendrecv")


def _formats(media: Media) -> tuple[Format, ...]:
    """Return what is known here of an m-line, Opus first, else in the peer's order."""
    names = {}
    for value in media.get_all("rtpmap"):
        payload_type, _, encoding = value.partition(" ")
        names[payload_type] = encoding.strip().lower()
    found: list[Format] = []
    for text in media.formats:
        if not (text.isascii() and text.isdecimal() and int(text[:4]) < 128):
            continue
        codec = _codec(int(text), names.get(text))
        if codec is not None and codec not in (each.codec for each in found):
            found.append(Format(int(text), codec))
    return tuple(sorted(found, key=lambda each: each.codec is not OPUS))


def _codec(payload_type: int, encoding: str | None) -> Codec | None:
    if encoding is None:  # a static type needs no rtpmap (RFC 3551 §6)
        return next((codec for codec in _CODECS if codec.static_payload_type == payload_type), None)
    name, _, clock = encoding.partition("/")
    for codec in _CODECS:
        if codec.name.lower() == name and clock.partition("/")[0] == str(codec.clock_hz):
            return codec
    return None


def _credentials(session: SessionDescription, media: Media) -> IceCredentials:
    username = media.get("ice-ufrag") or session.get("ice-ufrag") or ""
    password = media.get("ice-pwd") or session.get("ice-pwd") or ""
    if not (_CREDENTIAL.fullmatch(username) and _CREDENTIAL.fullmatch(password)):
        raise DescriptionRefused("The SDP has no ICE credentials (a=ice-ufrag, a=ice-pwd).")
    return IceCredentials(username, password)


def _fingerprints(session: SessionDescription, media: Media) -> tuple[tuple[str, str], ...]:
    values = media.get_all("fingerprint") or [
        value for name, value in session.attributes if name == "fingerprint" and value
    ]
    matches = [match for value in values[:8] if (match := _FINGERPRINT.fullmatch(value))]
    if not matches:
        raise DescriptionRefused("The SDP has no fingerprint of a certificate that is understood (sha-256 and longer).")
    return tuple((match[1].lower(), match[2].upper()) for match in matches)


def _setup(value: str | None) -> Setup:
    match value:
        case "active" | "passive" | "actpass":
            return value
        case None:
            return "actpass"
    raise DescriptionRefused(f"The SDP's a=setup is {value[:20]!r} instead of actpass, active or passive.")


def _channel_terms(media: Media) -> ChannelTerms:
    return ChannelTerms(
        _number(media.get("sctp-port") or media.formats[0], SCTP_PORT, 65535),  # the old form has it in the m-line
        _number(media.get("max-message-size"), _DEFAULT_MESSAGE_BYTES, 2**63),
    )


def _number(text: str | None, default: int, most: int) -> int:
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 20):
        return default
    return min(int(text), most)


# ---- writing


def answer(offer: RemoteDescription, local: LocalDescription, setup: Setup | None = None) -> str:
    """Return the answer to an offer. `setup` is what stays as it was, in the middle of a call (RFC 8842 §5.5)."""
    # The client's end listens first: its check may be under way before this answer is (contract 1.3).
    setup = setup or ("passive" if offer.setup == "active" else "active")
    session = _session(local)
    for index, offered in enumerate(offer.media):
        if index == offer.audio:
            media = _audio(local, offer.formats, _ANSWERS.get(offer.direction, offer.direction))
        elif index == offer.channel:
            media = _channel(local, is_old_form=offered.protocol == _OLD_CHANNEL)
        else:
            session.media.append(_rejected(offered))
            continue
        media.protocol = offered.protocol
        mid = offered.get("mid")
        if mid is not None:
            media.attributes.insert(0, ("mid", mid))
        media.attributes.append(("setup", setup))
        session.media.append(media)
    _bundle(session)
    return session.encode().decode()


def offer(local: LocalDescription) -> str:
    """Return an offer of audio both ways and a data channel."""
    session = _session(local)
    formats = tuple(Format(codec.static_payload_type or 0, codec) for codec in (PCMU, PCMA))
    audio, channel = _audio(local, (Format(OPUS_TYPE, OPUS), *formats), "sendrecv"), _channel(local)
    for mid, media in enumerate((audio, channel)):
        media.attributes.insert(0, ("mid", str(mid)))
        media.attributes.append(("setup", "actpass"))
        session.media.append(media)
    _bundle(session)
    return session.encode().decode()


def _session(local: LocalDescription) -> SessionDescription:
    origin = Origin(str(secrets.randbits(62)), 2, "127.0.0.1")
    return SessionDescription(origin, attributes=[("msid-semantic", " WMS *")])


def _bundle(session: SessionDescription) -> None:
    mids = [mid for media in session.media if media.port and (mid := media.get("mid")) is not None]
    if mids:
        session.attributes.insert(0, ("group", f"BUNDLE {' '.join(mids)}"))


def _transport(media: Media, local: LocalDescription) -> Media:
    media.connection = Connection(local.host, "IP6" if ":" in local.host else "IP4")
    media.attributes += [("ice-ufrag", local.ice.username), ("ice-pwd", local.ice.password)]
    media.attributes += [("fingerprint", f"{algorithm} {value}") for algorithm, value in local.fingerprints]
    media.attributes += [("candidate", candidate) for candidate in local.candidates]
    media.attributes.append(("end-of-candidates", None))
    return media


def _audio(local: LocalDescription, formats: tuple[Format, ...], direction: Direction) -> Media:
    media = Media("audio", local.port, "UDP/TLS/RTP/SAVPF", tuple(str(each.payload_type) for each in formats))
    media.attributes += [("rtcp", "9 IN IP4 0.0.0.0"), ("rtcp-mux", None), (direction, None)]
    for each in formats:
        channels = f"/{each.codec.channels}" if each.codec.channels > 1 else ""
        media.attributes.append(("rtpmap", f"{each.payload_type} {each.codec.name}/{each.codec.clock_hz}{channels}"))
        if each.codec is OPUS:
            media.attributes.append(("fmtp", f"{each.payload_type} {_OPUS_PARAMETERS}"))
    media.attributes.append(("ptime", "20"))
    if direction in ("sendrecv", "sendonly"):
        media.attributes += [("msid", "agent agent-audio"), ("ssrc", f"{local.ssrc} cname:agent")]
    return _transport(media, local)


def _channel(local: LocalDescription, *, is_old_form: bool = False) -> Media:
    """Write the data channel's m-line; in the form of draft-ietf-mmusic-sctp-sdp-07 for peers of before 2019."""
    port = str(SCTP_PORT)
    media = Media("application", local.port, "UDP/DTLS/SCTP", (port if is_old_form else "webrtc-datachannel",))
    media.attributes.append(("sctpmap", f"{port} webrtc-datachannel 1024") if is_old_form else ("sctp-port", port))
    media.attributes.append(("max-message-size", str(MAX_MESSAGE_BYTES)))
    return _transport(media, local)


def _rejected(offered: Media) -> Media:
    media = Media(offered.kind, 0, offered.protocol, offered.formats or ("0",), connection=Connection("0.0.0.0"))
    mid = offered.get("mid")
    media.attributes = [("mid", mid)] if mid is not None else []
    media.attributes.append(("inactive", None))
    return media
