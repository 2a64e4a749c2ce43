"""The engines of the configuration: what thinks, and where its parts are."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from voice.config_types import ExistingFile, Secret, Section


class RemoteServer(Section):
    """An OpenAI-compatible server, and how to be let in."""

    url: str = Field(pattern=r"^https?://[^\s?#]+$")
    """The base URL as official clients take it: `https://api.openai.com/v1`, `http://127.0.0.1:11434/v1`."""
    model: str = Field(min_length=1)
    key: Secret | None = None
    organization: str | None = None
    project: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with every request."""
    query: dict[str, str] = Field(default_factory=dict)
    """Added to every URL, as Azure's `api-version`."""
    attempts: int = Field(3, ge=1, le=10)
    """Of a request that fails before its answer begins, for reasons that pass."""

    @field_validator("headers")
    @classmethod
    def _plain(cls, headers: dict[str, str]) -> dict[str, str]:
        if any(not value.isprintable() or not name.isprintable() for name, value in headers.items()):
            raise ValueError("a header cannot hold line breaks")
        return headers

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers, those of organisation and project among them."""
        named = {"OpenAI-Organization": self.organization, "OpenAI-Project": self.project}
        return {name: value for name, value in named.items() if value} | self.headers


class RemoteLlm(RemoteServer):
    """A language model by Chat Completions or Responses."""

    api: Literal["chat", "responses"] = "chat"
    temperature: float | None = Field(None, ge=0, le=2)
    max_output_tokens: int | None = Field(None, ge=1)
    reasoning_effort: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    parallel_tool_calls: bool | None = None
    strict_tools: bool = False
    """Structured outputs for tools whose schemas are closed."""
    sees_images: bool = False
    refers_to_previous: bool = False
    """`responses` only: the server stores the answers, and only what is new is sent."""
    history_chars: int = Field(48_000, ge=500)
    """Past it the oldest turns are left out."""
    first_token_s: float = Field(10.0, gt=0)
    next_token_s: float = Field(10.0, gt=0)
    extra: dict[str, Any] = Field(default_factory=dict)
    """More fields of the request's body."""


class RemoteStt(RemoteServer):
    """Speech to text by `/audio/transcriptions`."""

    language: str | None = None
    prompt: str | None = None
    stream: bool = False
    timeout_s: float = Field(10.0, gt=0)


class RemoteTts(RemoteServer):
    """Text to speech by `/audio/speech`."""

    voice: str | None = None
    """None: the session's."""
    instructions: str | None = None
    """How to speak."""
    first_sound_s: float = Field(8.0, gt=0)
    next_sound_s: float = Field(8.0, gt=0)


class CascadeConfig(Section):
    """Speech to text, language model, text to speech; each embedded, or where a URL says."""

    type: Literal["cascade"]
    llm: RemoteLlm | None = None
    stt: RemoteStt | None = None
    tts: RemoteTts | None = None
    temperature: float = Field(0.0, ge=0, le=2)
    max_output_tokens: int = Field(256, ge=1)
    """Of one answer, where the session does not set its own."""
    partial_every_ms: int = Field(500, ge=100)
    """New speech after which the words so far are looked at again."""
    history_chars: int = Field(8000, ge=500)
    """Past it the oldest turns are left out of the prompt; about four characters are a token."""
    asks_for_missing: bool = True
    """A value that a tool lacks is asked for by a ready question."""
    unheard_reply: str = "Sorry, I didn't catch that."
    """Said when there were no words in what was heard; empty: the model answers."""
    silence_reply: str = "Are you still there?"
    """Said when the caller has said nothing for the session's `idle_timeout_ms`; empty: the model answers."""
    confused_reply: str = "Sorry, I didn't get that. Could you say it again?"
    """Said when the model had no words, or spoke of its functions instead of to the caller."""
    speculates: bool = False
    """A remote `llm` is asked as soon as silence begins: answers come sooner, some in vain."""

    @property
    def lanes(self) -> tuple[str, ...]:
        """The embedded models that it works with."""
        parts = {"speech-to-text": self.stt, "language-model": self.llm, "text-to-speech": self.tts}
        return tuple(lane for lane, remote in parts.items() if remote is None)


class ScriptedConfig(Section):
    """A declared dialogue with timing: for tests, benches and demonstrations."""

    type: Literal["scripted"]
    script: ExistingFile | None = None
    """A YAML file; without it a built-in dialogue answers."""


EngineConfig = Annotated[CascadeConfig | ScriptedConfig, Field(discriminator="type")]
