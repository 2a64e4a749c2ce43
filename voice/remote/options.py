"""How a remote model is asked; the operator's part of it stands in config.yaml."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class LanguageOptions:
    """A language model."""

    model: str
    api: Literal["chat", "responses"] = "chat"
    temperature: float | None = None
    max_output_tokens: int | None = None
    """The longest answer where the session does not set its own; None: the server's limit."""
    reasoning_effort: str | None = None
    verbosity: str | None = None
    parallel_tool_calls: bool | None = None
    """Where the session does not say."""
    strict_tools: bool = False
    """Structured outputs for tools whose schemas are closed."""
    sees_images: bool = False
    refers_to_previous: bool = False
    """Responses only: send what is new and the id of the answer before, which the server has to have stored."""
    history_chars: int = 48_000
    """Past it the oldest turns are left out; about four characters are a token."""
    first_token_s: float = 10.0
    """The longest wait for the first word, all attempts together."""
    next_token_s: float = 10.0
    """The longest pause between two words."""
    extra: dict[str, Any] = field(default_factory=dict)
    """More fields of the body, for servers that have fields of their own."""


@dataclass(frozen=True, slots=True)
class ListeningOptions:
    """Speech to text."""

    model: str
    language: str | None = None
    prompt: str | None = None
    stream: bool = False
    """The server sends the transcript as it makes it."""
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class SpeakingOptions:
    """Text to speech."""

    model: str
    voice: str | None = None
    """None: the session's."""
    instructions: str | None = None
    first_sound_s: float = 8.0
    next_sound_s: float = 8.0
