"""The engines of the configuration: what thinks, and where its parts are."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from voice.config_types import ExistingFile, Secret, Section
from voice.protocol.translation import TRANSLATION_MODEL


def plain_headers(headers: dict[str, str]) -> dict[str, str]:
    """Refuse headers that would be several. Raises: ValueError."""
    if any(not value.isprintable() or not name.isprintable() for name, value in headers.items()):
        raise ValueError("a header cannot hold line breaks")
    return headers


def named_headers(organization: str | None, project: str | None) -> dict[str, str]:
    """Return the headers by which OpenAI tells whose bill it is."""
    named = {"OpenAI-Organization": organization, "OpenAI-Project": project}
    return {name: value for name, value in named.items() if value}


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

    _plain = field_validator("headers")(plain_headers)

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers, those of organisation and project among them."""
        return named_headers(self.organization, self.project) | self.headers


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


class ReplaceableConfig(Section):
    """An engine that may fail in the middle of a call, and what is done about it."""

    fallback: tuple[str, ...] = ()
    """Names under `engines`, in order: who goes on in the middle of a call when this one cannot."""
    attempts: int = Field(2, ge=1, le=10)
    """Of one answer, before the next of `fallback` is asked."""
    words_after_s: float = Field(2.0, gt=0)
    words: str = "One moment, please."
    """Said to a caller who waits longer than that; empty: nothing. By an engine of `fallback` that speaks by itself,
    else a tone stands for it."""
    give_up_s: float = Field(4.0, gt=0)
    """How long a caller may hear nothing of an engine before the next of `fallback` is asked, or the apology said."""
    apology: str = "I am sorry, I cannot answer right now. Please try again in a moment."
    """Said when nobody can answer; empty: nothing."""


class CascadeConfig(ReplaceableConfig):
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
    give_up_s: float = Field(12.0, gt=0)
    """As for an upstream; longer, since each part has deadlines of its own."""

    @property
    def lanes(self) -> tuple[str, ...]:
        """The embedded models that it works with."""
        parts = {"speech-to-text": self.stt, "language-model": self.llm, "text-to-speech": self.tts}
        return tuple(lane for lane, remote in parts.items() if remote is None)

    @property
    def is_replaceable(self) -> bool:
        """True where something may be away: a part is remote, or another engine stands by."""
        return bool(self.fallback) or self.llm is not None or self.stt is not None or self.tts is not None


class ScriptedConfig(Section):
    """A declared dialogue with timing: for tests, benches and demonstrations."""

    type: Literal["scripted"]
    script: ExistingFile | None = None
    """A YAML file; without it a built-in dialogue answers."""


class UpstreamConfig(ReplaceableConfig):
    """Another server of the Realtime contract: gpt-realtime, Azure's, a second instance of this service."""

    type: Literal["upstream"]
    url: str = Field(pattern=r"^(ws|http)s?://[^\s#]+$")
    """`wss://api.openai.com/v1/realtime`, or its base URL; Azure's with everything in it but the key."""
    model: str | None = None
    """Goes into the query as `model`; null where the URL names it, as a deployment of Azure's."""
    key: Secret | None = None
    key_header: Literal["auto", "authorization", "api-key"] = "auto"
    """`auto`: `api-key` at Azure's hosts, else `Authorization: Bearer`."""
    organization: str | None = None
    project: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    query: dict[str, str] = Field(default_factory=dict)
    turns: Literal["ours", "upstream"] = "ours"
    """Who finds the caller's turns: this service, or the upstream's `server_vad` or `semantic_vad`, whichever the
    session asks for. Who answers, and when, is decided here in both cases."""
    voice: str | None = None
    """null: the session's."""
    transcription_model: str | None = None
    """Has every turn written down upstream, so that it can be replayed in words; null: only where a client asks."""
    translation_model: str = TRANSLATION_MODEL
    """Who translates, in translation sessions."""
    tools: tuple[dict[str, Any], ...] = ()
    """Hosted tools that the upstream runs itself, in the contract's words (`type: mcp`)."""
    session: dict[str, Any] = Field(default_factory=dict)
    """More fields of the upstream's session."""
    safety_identifier: bool = True
    """Tell the upstream whom a session is for: whom the client names by `OpenAI-Safety-Identifier`, else a hash of the
    session's id."""
    connect_s: float = Field(3.0, gt=0)
    answer_s: float = Field(4.0, gt=0)
    """From asking to the first sign of an answer; what of it is to be heard has `give_up_s`."""
    next_s: float = Field(3.0, gt=0)
    """Between two events of an answer."""
    tool_s: float = Field(30.0, gt=0)
    """What a hosted tool may take."""
    session_max_minutes: float = Field(60.0, gt=0)
    """How long the upstream lets a session last."""
    rotate_before_s: float = Field(120.0, gt=0)
    """So long before that a new connection is made and seeded, and taken when nobody speaks."""
    _plain = field_validator("headers")(plain_headers)

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers, those of organisation and project among them."""
        return named_headers(self.organization, self.project) | self.headers


EngineConfig = Annotated[CascadeConfig | ScriptedConfig | UpstreamConfig, Field(discriminator="type")]
