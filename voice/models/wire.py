"""The words between the media process and the model host: msgpack structs, each behind its length.

    media process                      host
    Load ────────────────────────────►       once, first
         ◄──────────────────── Loaded | Failed(id=0)
         ◄──────────────────── Beat              again and again from then on
    Transcribe | Generate | Prefill | Speak ►
         ◄── Piece | Sound ... Done | Failed  the answers to one request carry its id
    Cancel ──────────────────────────►       nothing more comes for that id, sooner or later
    Release ─────────────────────────►       the session is over; its cache slot is free

A message is a 4-byte big-endian length and that many bytes of msgpack. End of file in either direction means that the
other process is gone.
"""

from collections.abc import Iterator

import msgspec

from voice.models.settings import HostSettings

HEADER_BYTES = 4
MAX_MESSAGE_BYTES = 64 << 20


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Load the models; every path is already found."""

    settings: HostSettings
    speech_to_text: str = ""
    language_model: str = ""


class Transcribe(msgspec.Struct, frozen=True, tag="transcribe"):
    """Write down 16 kHz PCM. A partial yields to everything else, and to a newer partial of its session."""

    id: int
    session: str
    pcm: bytes
    partial: bool


class Generate(msgspec.Struct, frozen=True, tag="generate"):
    """Continue a prompt."""

    id: int
    session: str
    prompt: str
    max_tokens: int
    grammar: str | None
    stop: tuple[str, ...]
    temperature: float


class Prefill(msgspec.Struct, frozen=True, tag="prefill"):
    """Work a prompt into the session's cache slot. Yields to every Generate."""

    id: int
    session: str
    prompt: str


class Speak(msgspec.Struct, frozen=True, tag="speak"):
    """Say a text."""

    id: int
    session: str
    text: str
    voice: str
    speed: float


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """The answer to that request is no longer wanted."""

    id: int


class Release(msgspec.Struct, frozen=True, tag="release"):
    """The session has ended."""

    session: str


Request = Transcribe | Generate | Prefill | Speak
ToHost = Load | Request | Cancel | Release


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """Every model is ready."""

    seconds: dict[str, float]
    """How long each took to load and warm up."""
    rss_bytes: int


class Piece(msgspec.Struct, frozen=True, tag="piece"):
    """The next words of a generation."""

    id: int
    text: str


class Sound(msgspec.Struct, frozen=True, tag="sound"):
    """The next run of speech, 24 kHz PCM."""

    id: int
    pcm: bytes


class Done(msgspec.Struct, frozen=True, tag="done"):
    """A request has ended well."""

    id: int
    text: str = ""
    """The transcript."""
    reason: str = "stop"
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """The host lives."""

    without_progress_s: float
    """How long a model that is at work has shown no progress; of several, the longest."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A request, or with id 0 the loading, has failed."""

    id: int
    message: str
    overloaded: bool = False
    retry_after_s: float = 1.0


Answer = Piece | Sound | Done | Failed
"""Of the host, to a request; `Failed` with the id 0 is of the loading."""

FromHost = Loaded | Beat | Answer

_encoder = msgspec.msgpack.Encoder()
_to_host: msgspec.msgpack.Decoder[ToHost] = msgspec.msgpack.Decoder(ToHost)
_from_host: msgspec.msgpack.Decoder[FromHost] = msgspec.msgpack.Decoder(FromHost)


def pack(message: ToHost | FromHost) -> bytes:
    """Encode a message with its length in front."""
    body = _encoder.encode(message)
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def decode_to_host(body: bytes) -> ToHost:
    """Decode what the host receives."""
    return _to_host.decode(body)


def decode_from_host(body: bytes) -> FromHost:
    """Decode what the media process receives."""
    return _from_host.decode(body)


class Unpacker:
    """Cuts a byte stream into message bodies, in whatever pieces it arrives."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the body of every message that `data` completes.

        Raises: ValueError, if a length is beyond any message: the stream is out of step and worthless.
        """
        self._buffer += data
        while len(self._buffer) >= HEADER_BYTES:
            length = int.from_bytes(self._buffer[:HEADER_BYTES], "big")
            if length > MAX_MESSAGE_BYTES:
                raise ValueError(f"a message of {length} bytes is longer than any may be")
            end = HEADER_BYTES + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEADER_BYTES:end])
            del self._buffer[:end]
            yield body
