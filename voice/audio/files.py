"""Audio files to 24 kHz PCM and back: what `/v1/audio` takes and gives, through FFmpeg's codecs (PyAV).

Both directions use the processor, 1 to 3 ms for a second of speech: call them in a thread.
"""

import io
import struct
from dataclasses import dataclass
from typing import Any, Final, Literal

import av
import numpy as np
from av.error import FFmpegError

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES

FileFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

CONTENT_TYPES: Final[dict[FileFormat, str]] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}

MAX_DURATION_S: Final = 3600
"""A longer recording is refused: an hour of speech is 173 MB here."""

_UNKNOWN_BYTES: Final = 0x7FFFF000
"""What SoX writes and takes for a stream of unknown length: whole samples, and positive to who reads it as signed.
Of 0xFFFFFFFF, which FFmpeg writes, SoX complains as of a file that was cut short."""


class UnreadableAudio(ValueError):
    """The bytes are no audio that can be decoded; the message says why and may be shown to who sent them."""


def decode(content: bytes) -> bytes:
    """Return a file's first audio stream as 24 kHz mono PCM. Raises: UnreadableAudio."""
    pcm = bytearray()
    try:
        with av.open(io.BytesIO(content), "r") as container:
            if not container.streams.audio:
                raise UnreadableAudio("there is no audio in it")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=CORE_RATE_HZ)
            for frame in container.decode(container.streams.audio[0]):
                _collect(pcm, resampler.resample(frame))
            _collect(pcm, resampler.resample(None))
    except FFmpegError as error:
        raise UnreadableAudio(f"it cannot be decoded ({(error.strerror or 'invalid data').lower()})") from error
    if not pcm:
        raise UnreadableAudio("it holds no audio")
    return bytes(pcm)


def _collect(pcm: bytearray, frames: list[av.AudioFrame]) -> None:
    for frame in frames:
        pcm += bytes(frame.planes[0])[: frame.samples * SAMPLE_BYTES]
    if len(pcm) > MAX_DURATION_S * CORE_RATE_HZ * SAMPLE_BYTES:
        raise UnreadableAudio(f"it is longer than {MAX_DURATION_S // 60} minutes")


@dataclass(frozen=True, slots=True)
class _Codec:
    """How FFmpeg calls a format."""

    container: str
    codec: str
    sample_format: str
    options: tuple[tuple[str, str], ...] = ()


_CODECS: Final[dict[str, _Codec]] = {
    "mp3": _Codec("mp3", "libmp3lame", "s16p", (("write_xing", "0"),)),
    # A page for every packet: by default FFmpeg keeps a second of speech back.
    "opus": _Codec("ogg", "libopus", "s16", (("page_duration", "20000"),)),
    "aac": _Codec("adts", "aac", "fltp"),
    "flac": _Codec("flac", "flac", "s16"),
}


class Encoder:
    """Encodes one piece of speech as it grows: `feed` and then `finish` give the file's bytes in order."""

    def __init__(self, format: FileFormat) -> None:
        """WAV is written with an unknown length, as a stream must be; players and FFmpeg take it."""
        self._sink = _Sink()
        self._pts = 0
        self._container: Any = None
        if format == "wav":
            self._sink.write(_wav_header())
        codec = _CODECS.get(format)
        if codec is not None:
            options = {"flush_packets": "1", **dict(codec.options)}
            self._container = av.open(self._sink, "w", format=codec.container, options=options)
            self._stream = self._container.add_stream(codec.codec, rate=CORE_RATE_HZ)
            self._stream.layout = "mono"
            self._resampler = av.AudioResampler(format=codec.sample_format, layout="mono", rate=CORE_RATE_HZ)

    def feed(self, pcm: bytes) -> bytes:
        """Take more 24 kHz PCM; return what of the file is complete, which may be nothing."""
        if self._container is None:
            self._sink.write(pcm)
        else:
            frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2").reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate, frame.pts = CORE_RATE_HZ, self._pts
            self._pts += frame.samples
            self._encode(self._resampler.resample(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        """Return the rest; nothing may be fed afterwards."""
        if self._container is not None:
            self._encode(self._resampler.resample(None))
            self._container.mux(self._stream.encode(None))
            self._container.close()
        return self._sink.take()

    def _encode(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            self._container.mux(self._stream.encode(frame))


def encode(pcm: bytes, format: FileFormat) -> bytes:
    """Return a whole file."""
    encoder = Encoder(format)
    return encoder.feed(pcm) + encoder.finish()


class _Sink:
    """What FFmpeg writes to: it cannot seek in it, so nothing is written twice."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def _wav_header() -> bytes:
    rate_bytes = CORE_RATE_HZ * SAMPLE_BYTES
    header = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", _UNKNOWN_BYTES + 36, b"WAVE", b"fmt ", 16, 1, 1, CORE_RATE_HZ, rate_bytes, 2, 16
    )
    return header + struct.pack("<4sI", b"data", _UNKNOWN_BYTES)
