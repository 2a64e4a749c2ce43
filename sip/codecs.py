"""Audio codecs as SDP names them: payload types, rtpmap, fmtp (RFC 3551, 4733, 7587). Nothing here touches audio."""

from dataclasses import dataclass, replace

from sip.sdp import Attribute, Media


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec and the payload type it goes by in one description."""

    name: str
    clock_hz: int
    """The RTP clock: 8000 for G.722 too, though it carries 16 kHz (RFC 3551 §4.5.2)."""
    payload_type: int
    """The static number, or the dynamic one that we propose."""
    channels: int = 1
    fmtp: str = ""

    @property
    def key(self) -> tuple[str, int, int]:
        """What makes two entries the same codec."""
        return self.name.lower(), self.clock_hz, self.channels

    def with_payload_type(self, payload_type: int) -> "Codec":
        """Return the codec under another number."""
        return replace(self, payload_type=payload_type)

    def attributes(self) -> list[Attribute]:
        """Return its rtpmap and fmtp lines. Static types get an rtpmap too: some peers look only there."""
        channels = f"/{self.channels}" if self.channels != 1 else ""
        lines: list[Attribute] = [("rtpmap", f"{self.payload_type} {self.name}/{self.clock_hz}{channels}")]
        if self.fmtp:
            lines.append(("fmtp", f"{self.payload_type} {self.fmtp}"))
        return lines


PCMU = Codec("PCMU", 8_000, 0)
PCMA = Codec("PCMA", 8_000, 8)
G722 = Codec("G722", 8_000, 9)
OPUS = Codec("opus", 48_000, 111, 2, "useinbandfec=1;stereo=0;sprop-stereo=0")
"""Always two channels in the rtpmap, whatever is sent (RFC 7587 §7)."""
COMFORT_NOISE = Codec("CN", 8_000, 13)

_STATIC = {
    0: PCMU,
    3: Codec("GSM", 8_000, 3),
    4: Codec("G723", 8_000, 4),
    8: PCMA,
    9: G722,
    13: COMFORT_NOISE,
    15: Codec("G728", 8_000, 15),
    18: Codec("G729", 8_000, 18),
}
_EVENT_TYPES = {8_000: 101, 48_000: 110}


def telephone_event(clock_hz: int) -> Codec:
    """Return DTMF as RTP events for a clock rate, digits and flash (RFC 4733 §2.4)."""
    return Codec("telephone-event", clock_hz, _EVENT_TYPES.get(clock_hz, 102), 1, "0-16")


def read_codecs(media: Media) -> list[Codec]:
    """Return what an m-line lists, in its order; formats that cannot be read are left out."""
    maps = _by_payload_type(media.get_all("rtpmap"))
    parameters = _by_payload_type(media.get_all("fmtp"))
    codecs: list[Codec] = []
    for text in media.formats:
        if not (text.isascii() and text.isdecimal() and len(text) <= 3):
            continue
        number = int(text)
        codec = _read_rtpmap(number, maps[text]) if text in maps else _STATIC.get(number)
        if codec is not None and number <= 127:
            codecs.append(replace(codec, fmtp=parameters.get(text, "")))
    return codecs


def _by_payload_type(values: list[str]) -> dict[str, str]:
    """Return the rest of `rtpmap` or `fmtp` values by payload type; the first one counts."""
    found: dict[str, str] = {}
    for value in values:
        number, _, rest = value.partition(" ")
        found.setdefault(number, rest.strip())
    return found


def _read_rtpmap(payload_type: int, value: str) -> Codec | None:
    """Read `name/clock[/channels]`."""
    name, _, rest = value.partition("/")
    clock, _, channels = rest.partition("/")
    if not name or not (clock.isascii() and clock.isdecimal() and len(clock) <= 6):
        return None
    count = int(channels) if channels.isascii() and channels.isdecimal() and len(channels) <= 2 else 1
    return Codec(name, int(clock), payload_type, count)
