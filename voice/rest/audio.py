"""What `/v1/audio` is asked and answers: speech from a text, text from a recording.

The requests are read leniently, as the original reads them: a field that no model here has a use for is let pass, one
that would change the answer and cannot be honoured is refused by name.
"""

import json
import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from voice.errors import ContractError
from voice.protocol.session_config import voice_name
from voice.protocol.session_fields import Voice
from voice.protocol.validation import explain, refuse, unsupported

MAX_SPEECH_CHARS: Final = 4096

API_VOICES: Final = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "marin", "cedar", "nova", "onyx", "sage", "shimmer", "verse"),
)
"""The names of the original's voices: the default voice speaks for each that is not on this machine."""


class ApiModel(BaseModel):
    """A request body: strict in types, open to fields that other services know."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


def _spoken(text: str) -> str:
    if not text.strip():
        raise refuse.because("Invalid '{param}': there is nothing to be spoken in it.", "empty_text")
    return text


class SpeechRequest(ApiModel):
    """The body of `POST /v1/audio/speech`."""

    model: str = Field(min_length=1)
    input: Annotated[str, Field(min_length=1, max_length=MAX_SPEECH_CHARS), AfterValidator(_spoken)]
    voice: Voice
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0)
    stream_format: Literal["audio", "sse"] = "audio"
    instructions: str | None = None
    """How to speak; the embedded voice takes none."""

    def voice_among(self, own: Sequence[str]) -> str:
        """Return the voice's name. Raises: ContractError for one that neither the original nor `own` has."""
        name = voice_name(self.voice)
        known = (*API_VOICES, *own)
        if name not in known:
            raise ContractError(unsupported(name, known), param="voice")
        return name


class TranscriptionForm(ApiModel):
    """The fields of `POST /v1/audio/transcriptions` beside the file; a form has strings only."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=False)

    model: str = Field(min_length=1)
    language: str | None = None
    prompt: str | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = "json"
    stream: bool = False
    temperature: float = Field(0.0, ge=0, le=1)
    timestamp_granularities: tuple[Literal["segment", "word"], ...] = ("segment",)
    include: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what cannot be given. Raises: ContractError."""
        if "word" in self.timestamp_granularities:
            raise ContractError(
                "Times of single words are not known here: ask for 'segment'.",
                code="unsupported_value",
                param="timestamp_granularities",
            )
        if self.include:
            raise ContractError("Log probabilities are not known here.", code="unsupported_value", param="include")


_Model = TypeVar("_Model", bound=ApiModel)


def parse(kind: type[_Model], value: object) -> _Model:
    """Return a request of JSON values. Raises: ContractError with the path of the first thing that is wrong."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problem = explain(error)
        raise ContractError(problem.message, code=problem.code, param=problem.param or None) from None


def parse_json(kind: type[_Model], body: bytes) -> _Model:
    """Return the request of a JSON body. Raises: ContractError."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise ContractError("We could not parse the JSON body of your request.", code=None) from None
    return parse(kind, value)


# --- Answers ---------------------------------------------------------------------------------------------------


class Segment(Protocol):
    """A passage and its words; `voice.single_requests.Segment` is one."""

    @property
    def start_s(self) -> float: ...

    @property
    def end_s(self) -> float: ...

    @property
    def text(self) -> str: ...


def transcription_text(segments: Sequence[Segment]) -> str:
    """Return all words."""
    return " ".join(segment.text for segment in segments)


def transcription_json(segments: Sequence[Segment], duration_s: float) -> dict[str, Any]:
    """Return the `json` form."""
    return {"text": transcription_text(segments), "usage": duration_usage(duration_s)}


def verbose_json(segments: Sequence[Segment], duration_s: float, language: str | None) -> dict[str, Any]:
    """Return the `verbose_json` form. What the model does not tell of a segment is null, not a made-up figure."""
    return {
        "task": "transcribe",
        "language": language or "en",
        "duration": round(duration_s, 3),
        "text": transcription_text(segments),
        "segments": [_segment(number, segment) for number, segment in enumerate(segments)],
        "usage": duration_usage(duration_s),
    }


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    encoded = segment.text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": None,
        "compression_ratio": round(len(encoded) / len(zlib.compress(encoded)), 3),
        "no_speech_prob": None,
    }


def duration_usage(duration_s: float) -> dict[str, Any]:
    """Return what a transcription is billed by."""
    return {"type": "duration", "seconds": round(duration_s, 3)}


def subtitles(segments: Sequence[Segment], form: Literal["srt", "vtt"]) -> str:
    """Return SubRip or WebVTT."""
    mark = "," if form == "srt" else "."
    cues = []
    for number, segment in enumerate(segments, 1):
        times = f"{_clock(segment.start_s, mark)} --> {_clock(segment.end_s, mark)}"
        cues.append(f"{number}\n{times}\n{segment.text}\n" if form == "srt" else f"{times}\n{segment.text}\n")
    return ("" if form == "srt" else "WEBVTT\n\n") + "\n".join(cues)


def _clock(second: float, mark: str) -> str:
    whole_ms = round(second * 1000)
    return (
        f"{whole_ms // 3_600_000:02}:{whole_ms // 60_000 % 60:02}:{whole_ms // 1000 % 60:02}{mark}{whole_ms % 1000:03}"
    )
