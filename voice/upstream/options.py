"""How to reach an upstream Realtime server, and how patient to be with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from voice.protocol.translation import TRANSLATION_MODEL

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")


@dataclass(frozen=True, slots=True)
class UpstreamOptions:
    """One entry of the configuration. Secrets stay out of its text form."""

    url: str
    """`wss://host/v1/realtime` or a base URL that ends in `/v1`; http and https mean ws and wss."""
    model: str | None = None
    """Goes into the query. None: the URL says all, as a deployment of Azure's."""
    key: str | None = field(default=None, repr=False)
    key_header: Literal["auto", "authorization", "api-key"] = "auto"
    """`auto`: `api-key` at Azure's hosts, else `Authorization: Bearer`."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    turns: Literal["ours", "upstream"] = "ours"
    voice: str | None = None
    """None: the session's."""
    transcription_model: str | None = None
    """Has the upstream write down every turn, so that it can be replayed in words. None: only if the client asks."""
    translation_model: str = TRANSLATION_MODEL
    """Who translates, in translation sessions."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """Hosted tools, which the upstream runs itself (`type: mcp`)."""
    session: Mapping[str, Any] = field(default_factory=dict)
    """More fields of the upstream's session."""
    connect_s: float = 3.0
    """From the first packet to `session.created`."""
    answer_s: float = 4.0
    """From asking to the first sign of an answer."""
    next_s: float = 3.0
    """Between two events of an answer."""
    tool_s: float = 30.0
    """What a hosted tool may take."""
    session_max_s: float = 3600.0
    """How long the upstream lets one session last; what it says itself, if that is sooner, counts."""
    rotate_before_s: float = 120.0
    """So long before that end a new connection is made, to be taken at the next quiet moment."""


Kind = Literal["conversation", "transcription", "translation"]


def address(options: UpstreamOptions, kind: Kind = "conversation") -> str:
    """Return the URL to connect to.

    A transcription is asked for by its intent, and without a model; a translation at a path of its own.
    """
    parts = urlsplit(options.url)
    path = parts.path.rstrip("/")
    if not path.endswith("/realtime"):
        path += "/realtime"
    query = dict(parse_qsl(parts.query)) | dict(options.query)
    if kind == "transcription":
        query.pop("model", None)
        query["intent"] = "transcription"
    elif kind == "translation":
        path += "/translations"
        query["model"] = options.translation_model
    elif options.model is not None and "deployment" not in query:
        query["model"] = options.model
    return urlunsplit((_SCHEMES.get(parts.scheme, parts.scheme), parts.netloc, path, urlencode(query), ""))


def handshake_headers(options: UpstreamOptions, request_id: str, safety_identifier: str | None) -> dict[str, str]:
    """Return the headers of one handshake; `request_id` finds it again in the upstream's log and in ours."""
    headers = dict(options.headers) | {"X-Client-Request-Id": request_id}
    if safety_identifier is not None:
        headers["OpenAI-Safety-Identifier"] = safety_identifier
    if options.key is not None:
        host = urlsplit(options.url).hostname or ""
        is_azure = options.key_header == "api-key" or (options.key_header == "auto" and host.endswith(_AZURE_HOSTS))
        headers |= {"api-key": options.key} if is_azure else {"Authorization": f"Bearer {options.key}"}
    return headers
