"""Offer and answer (RFC 3264) for one audio stream; all other m-lines are refused in their places.

  STABLE          make_offer → OFFERED           receive_offer → TO_ANSWER
  OFFERED         receive_answer, drop_offer → STABLE
  TO_ANSWER       make_answer, or NotAcceptable → STABLE; the agreement so far stays in force

A delayed offer is the same machine the other way round: `make_offer` for the 200, `receive_answer` with the ACK.
Which message carries what is the caller's; `judge_offer` and `glare_delay_s` decide about collisions (§14 of RFC 3261).
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum, auto

from sip.codecs import COMFORT_NOISE, Codec, read_codecs, telephone_event
from sip.crypto import Crypto, KeySource, Srtp, answer_crypto, make_cryptos, read_cryptos
from sip.errors import NotAcceptable, StateError
from sip.media import Agreement, Direction, LocalMedia, direction_of, remote_ptime_ms, remote_rtcp
from sip.message import Rejection
from sip.sdp import Media, Origin, SessionDescription, parse_sdp

_PLAIN = ("RTP/AVP", "RTP/AVPF")
_SECURE = ("RTP/SAVP", "RTP/SAVPF")
_EVENT = "telephone-event"


class OfferState(Enum):
    """Whose turn it is."""

    STABLE = auto()
    OFFERED = auto()
    TO_ANSWER = auto()


class OfferAnswer:
    """The descriptions of one dialog, from the first to the last."""

    def __init__(self, session_id: str, key_source: KeySource = secrets.token_bytes) -> None:
        """`session_id` is a number as text, the same for the dialog's life (RFC 8866 §5.2)."""
        self.state = OfferState.STABLE
        self.agreement: Agreement | None = None
        """What is in force; None before the first answer."""
        self._session_id = session_id
        self._key_source = key_source
        self._version = 0
        self._local: SessionDescription | None = None
        self._local_media: LocalMedia | None = None
        self._offer: SessionDescription | None = None
        self._cryptos: list[Crypto] = []
        self._index = 0
        self._payload_types: dict[tuple[str, int, int], int] = {}

    # --- ours -----------------------------------------------------------------------------------------------------

    def make_offer(self, local: LocalMedia) -> bytes:
        """Return an offer; the same as the last description when nothing has changed, version included.

        Raises: StateError when an offer is open.
        """
        if self.state is not OfferState.STABLE:
            raise StateError("an offer is open already")
        secured = None if self.agreement is None else self.agreement.local_crypto
        if secured is not None and self._local is not None:
            # The profile and the key in use stay: a refresh must not restart the stream.
            protocol = self._local.media[self._index].protocol
            self._cryptos = self._cryptos or [secured]
        else:
            protocol = "RTP/SAVP" if local.srtp is Srtp.REQUIRED else "RTP/AVP"
        media = self._audio(local, protocol)
        for codec in self._offered_codecs(local):
            media.formats = (*media.formats, str(codec.payload_type))
            media.attributes += codec.attributes()
        if local.srtp is not Srtp.OFF:
            if not self._cryptos:
                self._cryptos = make_cryptos(local.suites, self._key_source)
            media.attributes += [("crypto", str(crypto)) for crypto in self._cryptos]
        self._finish(media, local, local.direction)
        lines = [] if self._local is None else [_refused(line) for line in self._local.media]
        lines[self._index : self._index + 1] = [media]
        self.state, self._local_media = OfferState.OFFERED, local
        return self._describe(local, lines)

    def receive_answer(self, data: bytes) -> Agreement:
        """Take the answer to our offer.

        Raises: NotAcceptable when no media can flow by it: acknowledge, then end the call.
        """
        if self.state is not OfferState.OFFERED or self._local is None or self._local_media is None:
            raise StateError("no offer is open")
        self.state = OfferState.STABLE
        answer = _described(data)
        if len(answer.media) <= self._index:
            raise NotAcceptable("answer lacks the audio stream", warning=304)
        media = answer.media[self._index]
        if not media.port:
            raise NotAcceptable("audio stream was refused", warning=304)
        ours = self._local.media[self._index]
        offered = {codec.key: codec for codec in read_codecs(ours)}
        common = [codec for codec in read_codecs(media) if codec.key in offered and _is_audio(codec)]
        if not common:
            raise NotAcceptable("answer names no codec of the offer")
        secured = self._answered_crypto(media, ours)
        receive = offered[common[0].key].payload_type
        return self._agree(answer, media, common[0], receive, direction_of(self._local, ours), secured, offered)

    def drop_offer(self) -> None:
        """Forget an offer that was refused (488, 491) or got no answer; what was agreed before stays in force."""
        self.state, self._offer = OfferState.STABLE, None

    # --- theirs ---------------------------------------------------------------------------------------------------

    def receive_offer(self, data: bytes) -> None:
        """Take an offer. Raises: NotAcceptable (400) when it is no description; StateError when one is open."""
        if self.state is not OfferState.STABLE:
            raise StateError("an offer is open already")
        self._offer = _described(data)
        self.state = OfferState.TO_ANSWER

    def make_answer(self, local: LocalMedia) -> bytes:
        """Return the answer; `agreement` is in force from now.

        Raises: NotAcceptable (488) when nothing fits; the state is STABLE again and nothing has changed.
        """
        offer = self._offer
        if self.state is not OfferState.TO_ANSWER or offer is None:
            raise StateError("no offer waits for an answer")
        self.state, self._offer = OfferState.STABLE, None
        index, codec, secured = self._choose(offer, local)
        theirs = offer.media[index]
        media = self._audio(local, theirs.protocol)
        media.formats = (str(codec.payload_type),)
        media.attributes = codec.attributes()
        listed = {one.key: one for one in read_codecs(theirs)}
        event = _event_for(codec, listed) if local.dtmf else None
        if event is not None:
            media.formats = (*media.formats, str(event.payload_type))
            media.attributes += replace(event, fmtp="0-16").attributes()
        if secured is not None:
            media.attributes.append(("crypto", str(secured[0])))
        direction = direction_of(offer, theirs).answer(local.direction)
        self._finish(media, local, direction, mux=theirs.has("rtcp-mux"))
        lines = [_refused(line) for line in offer.media]
        lines[index] = media
        self._index, self._local_media = index, local
        answer = self._describe(local, lines, offer.timing)
        self._agree(offer, theirs, listed[codec.key], codec.payload_type, direction, secured, listed)
        return answer

    def _choose(self, offer: SessionDescription, local: LocalMedia) -> tuple[int, Codec, tuple[Crypto, Crypto] | None]:
        """Pick m-line and codec: the stream in use keeps its place, an encrypted one goes before a plain one."""
        fault = NotAcceptable("no audio stream in the offer", warning=304)
        order = sorted(
            range(len(offer.media)),
            key=lambda at: (
                self.agreement is not None and at != self._index,
                offer.media[at].protocol not in _SECURE if local.srtp is not Srtp.OFF else False,
            ),
        )
        for index in order:
            media = offer.media[index]
            if media.kind != "audio" or not media.port:
                continue
            try:
                secured = self._offered_crypto(media, local)
                return index, _choose_codec(read_codecs(media), local), secured
            except NotAcceptable as error:
                fault = error
        raise fault

    # --- encryption -----------------------------------------------------------------------------------------------

    def _offered_crypto(self, media: Media, local: LocalMedia) -> tuple[Crypto, Crypto] | None:
        """Decide about SRTP for an offered stream: our key and theirs, None for plain RTP."""
        if media.protocol not in _PLAIN + _SECURE:
            raise NotAcceptable(f"profile {media.protocol[:30]} is not supported")
        must = media.protocol in _SECURE
        if local.srtp is Srtp.OFF:
            if must:
                raise NotAcceptable("stream is encrypted, plain RTP is required")
            return None
        previous = None if self.agreement is None else self.agreement.local_crypto
        chosen = answer_crypto(read_cryptos(media.get_all("crypto")), local.suites, previous, self._key_source)
        if chosen is None and (must or local.srtp is Srtp.REQUIRED):
            raise NotAcceptable("no crypto suite in common")
        return chosen

    def _answered_crypto(self, media: Media, ours: Media) -> tuple[Crypto, Crypto] | None:
        """Find out which of our keys an answer took."""
        local = self._local_media
        for theirs in read_cryptos(media.get_all("crypto")) if ours.has("crypto") else []:
            for mine in self._cryptos:
                if (mine.tag, mine.suite) == (theirs.tag, theirs.suite):
                    return mine, theirs
        if local is not None and (local.srtp is Srtp.REQUIRED or media.protocol in _SECURE):
            raise NotAcceptable("answer takes none of the offered keys")
        return None

    # --- building -------------------------------------------------------------------------------------------------

    def _offered_codecs(self, local: LocalMedia) -> list[Codec]:
        """Return what to offer, under the payload types that this session has used before (RFC 3264 §8.3.2)."""
        codecs = list(local.codecs)
        if local.dtmf:
            codecs += [telephone_event(clock) for clock in dict.fromkeys(codec.clock_hz for codec in local.codecs)]
        taken = set(self._payload_types.values())
        offered: list[Codec] = []
        for codec in codecs:
            number = self._payload_types.get(codec.key, codec.payload_type)
            if codec.key not in self._payload_types and number in taken:
                number = next(free for free in range(96, 128) if free not in taken)
            taken.add(number)
            self._payload_types[codec.key] = number
            offered.append(codec.with_payload_type(number))
        return offered

    def _audio(self, local: LocalMedia, protocol: str) -> Media:
        return Media("audio", local.port, protocol, ())

    def _finish(self, media: Media, local: LocalMedia, direction: Direction, *, mux: bool = True) -> None:
        """Add what every audio stream of ours says."""
        media.attributes.append(("ptime", str(local.ptime_ms)))
        media.attributes.append((direction.value, None))
        if local.rtcp_mux and mux:
            media.attributes.append(("rtcp-mux", None))

    def _describe(self, local: LocalMedia, lines: list[Media], timing: str = "0 0") -> bytes:
        """Wrap the m-lines; the version grows by one with every change (RFC 3264 §8)."""
        connection = local.connection
        origin = Origin(self._session_id, self._version, local.address, "-", connection.network_type)
        made = SessionDescription(origin, lines, connection, timing=timing)
        if self._local is None or made.encode() != self._local.encode():
            self._version += 1
            made.origin = replace(origin, version=self._version)
        self._local = made
        return made.encode()

    def _agree(
        self,
        session: SessionDescription,
        media: Media,
        codec: Codec,
        receive_payload_type: int,
        offered: Direction,
        secured: tuple[Crypto, Crypto] | None,
        ours: dict[tuple[str, int, int], Codec],
    ) -> Agreement:
        """Put an agreement into force. `offered` is our direction; `ours` what our side receives, by codec."""
        theirs = {one.key: one for one in read_codecs(media)}
        local = self._local_media
        event = _event_for(codec, theirs) if local is None or local.dtmf else None
        for one in (codec, event):
            if one is not None:
                self._payload_types.setdefault(one.key, one.payload_type)
        heard = None if event is None else ours.get(event.key)
        direction = direction_of(session, media).answer(offered)
        rtcp_address, rtcp_port = remote_rtcp(session, media)
        self.agreement = Agreement(
            codec=codec,
            receive_payload_type=receive_payload_type,
            remote_address=session.connection_of(media).address,
            remote_port=media.port,
            remote_rtcp_address=rtcp_address,
            remote_rtcp_port=rtcp_port,
            rtcp_mux=media.has("rtcp-mux") and local is not None and local.rtcp_mux,
            direction=direction,
            ptime_ms=remote_ptime_ms(media, 20 if local is None else local.ptime_ms),
            send_event_type=None if event is None else event.payload_type,
            receive_event_type=None if heard is None else heard.payload_type,
            event_clock_hz=8_000 if event is None else event.clock_hz,
            local_crypto=None if secured is None else secured[0],
            remote_crypto=None if secured is None else secured[1],
            comfort_noise=COMFORT_NOISE.key in theirs,
        )
        return self.agreement


def _described(data: bytes) -> SessionDescription:
    """Read a description. Raises: NotAcceptable with the parser's status."""
    session = parse_sdp(data)
    if isinstance(session, Rejection):
        raise NotAcceptable(session.reason, status=session.status, warning=399)
    return session


def _is_audio(codec: Codec) -> bool:
    return codec.name.lower() not in (_EVENT, "cn", "red")


def _choose_codec(listed: Sequence[Codec], local: LocalMedia) -> Codec:
    """Return the one codec of the answer, under the offer's payload type (RFC 3264 §6.1)."""
    ours = {codec.key: codec for codec in local.codecs}
    common = [replace(codec, fmtp=ours[codec.key].fmtp) for codec in listed if codec.key in ours]
    if not common:
        raise NotAcceptable("no codec in common")
    if local.prefer_ours:
        order = {codec.key: rank for rank, codec in enumerate(local.codecs)}
        return min(common, key=lambda codec: order[codec.key])
    return common[0]


def _event_for(codec: Codec, listed: dict[tuple[str, int, int], Codec]) -> Codec | None:
    """Return telephone-event at the codec's clock, else at 8 kHz: not every Opus peer offers it at 48 kHz."""
    for clock in (codec.clock_hz, 8_000):
        found = listed.get((_EVENT, clock, 1))
        if found is not None:
            return found
    return None


def _refused(media: Media) -> Media:
    """Return the line that refuses a stream: its kind, profile and formats, port 0 (RFC 3264 §6)."""
    return Media(media.kind, 0, media.protocol, media.formats or ("0",))
