"""The words of the beta interface, translated into those of the contract and back (contract 1.7, 7.7).

    beta client ──client_event──► the contract's events ──► session
    beta client ◄──ServerWords.of── the contract's events ◄── session

Tables and pure functions on parsed JSON. What is not a word of the beta passes as it is and is judged by the contract's
grammar; what the grammar then says about it is translated back, paths and all. What the beta has no words for is not
shown: MCP items with their events, keys of a telephone, idle timeouts, speakers. `temperature` is taken and has no
effect.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

Json = dict[str, Any]

TEMPERATURE: Final = 0.8
"""The beta's default, which its clients expect to see; engines here have their own."""

SECRET_S: Final = 60
"""How long a client secret of the beta lasts where nothing else is asked for."""

AUDIO_DELTA: Final = "response.audio.delta"


# --- Values -----------------------------------------------------------------------------------------------------------

_FORMATS: Final[Mapping[str, Json]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_BETA_FORMATS: Final = {str(format["type"]): name for name, format in _FORMATS.items()}


def _format(value: Any) -> Any:
    return _FORMATS.get(value, {"type": value}) if isinstance(value, str) else value


def _beta_format(value: Any) -> Any:
    return _BETA_FORMATS.get(value["type"])


def _modalities(value: Any) -> Any:
    """Speech comes with its words in the beta, and is called by both names; the contract says one."""
    named = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return ["audio"] if named and "audio" in value and set(value) <= {"audio", "text"} else value


def _beta_modalities(value: Any) -> Any:
    return ["audio", "text"] if value == ["audio"] else value


def _beta_turn_detection(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: given for name, given in value.items() if name != "idle_timeout_ms" or given is not None}


def _tool_choice(value: Any) -> Any:
    """Name a function: the beta's types have its bare name, its documentation the box of Chat Completions."""
    if isinstance(value, str) and value not in ("auto", "none", "required"):
        return {"type": "function", "name": value}
    boxed = value.get("function") if isinstance(value, dict) else None
    return {"type": "function", **boxed} if isinstance(boxed, dict) else value


def _beta_tool_choice(value: Any) -> Any:
    return value.get("name", "required") if isinstance(value, dict) else value


def _as_it_is(value: Any) -> Any:
    return value


# --- Fields -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of the beta, and where the contract has it."""

    beta: str
    path: tuple[str, ...]
    to_ga: Callable[[Any], Any] = _as_it_is
    to_beta: Callable[[Any], Any] = _as_it_is

    @property
    def is_format(self) -> bool:
        """True where the beta has one word for an object of the contract."""
        return self.to_ga is _format


_MODALITIES: Final = _Field("modalities", ("output_modalities",), _modalities, _beta_modalities)
_VOICE: Final = _Field("voice", ("audio", "output", "voice"))
_OUTPUT_FORMAT: Final = _Field("output_audio_format", ("audio", "output", "format"), _format, _beta_format)
_MAX_TOKENS: Final = _Field("max_response_output_tokens", ("max_output_tokens",))
_TOOL_CHOICE: Final = _Field("tool_choice", ("tool_choice",), _tool_choice, _beta_tool_choice)

SESSION_FIELDS: Final = (
    _MODALITIES,
    _VOICE,
    _Field("speed", ("audio", "output", "speed")),
    _Field("input_audio_format", ("audio", "input", "format"), _format, _beta_format),
    _OUTPUT_FORMAT,
    _Field("input_audio_transcription", ("audio", "input", "transcription")),
    _Field("input_audio_noise_reduction", ("audio", "input", "noise_reduction")),
    _Field("turn_detection", ("audio", "input", "turn_detection"), to_beta=_beta_turn_detection),
    _MAX_TOKENS,
    _TOOL_CHOICE,
)
"""Of `session.update`, and of the session as it is shown."""

PARAMETER_FIELDS: Final = (_MODALITIES, _VOICE, _OUTPUT_FORMAT, _MAX_TOKENS, _TOOL_CHOICE)
"""Of `response.create`."""

_SHOWN_FIELDS: Final = (_MODALITIES, _VOICE, _OUTPUT_FORMAT)
"""Of a response; its `max_output_tokens` has that name in the beta, too."""

_WITHOUT_EFFECT: Final = frozenset({"temperature", "client_secret"})
_SESSION_ONLY_GA: Final = frozenset(
    {"type", "audio", "truncation", "prompt", "reasoning", "parallel_tool_calls", "output_modalities"}
    | {"max_output_tokens"}
)
_RESPONSE_ONLY_GA: Final = frozenset({"audio", "output_modalities"})


def _to_ga(given: Json, fields: Iterable[_Field], dropped: frozenset[str] = _WITHOUT_EFFECT) -> Json:
    given = {name: value for name, value in given.items() if name not in dropped}
    ga = dict(given)
    for field in fields:
        ga.pop(field.beta, None)
    for field in fields:
        if field.beta in given:
            _place(ga, field.path, field.to_ga(given[field.beta]))
    return ga


def _place(target: Json, path: tuple[str, ...], value: Any) -> None:
    *above, last = path
    for name in above:
        below = target.get(name, {})
        if not isinstance(below, dict):
            return  # it is refused as it stands
        target[name] = target = dict(below)
    target[last] = value


def _to_beta(shown: Json, fields: Iterable[_Field], dropped: frozenset[str]) -> Json:
    beta = {name: value for name, value in shown.items() if name not in dropped}
    for field in fields:
        value: Any = shown
        for name in field.path:
            value = value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT
        if value is not _ABSENT:
            beta[field.beta] = field.to_beta(value)
    return beta


_ABSENT: Final = object()


# --- Items ------------------------------------------------------------------------------------------------------------

_PARTS: Final = {"text": "output_text", "audio": "output_audio"}
"""What the assistant said. The parts of a response under way have the beta's names in the contract, too."""

_INPUT_PARTS: Final = {"text": "input_text"}
_BETA_PARTS: Final = {ga: beta for beta, ga in _PARTS.items()}
_BETA_ITEMS: Final = frozenset({"message", "function_call", "function_call_output"})


def _item(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    return _with_parts(item, _PARTS if item.get("role") == "assistant" else _INPUT_PARTS)


def _with_parts(item: Json, names: Mapping[str, str]) -> Json:
    content = item.get("content")
    if not isinstance(content, list):
        return item
    return {**item, "content": [_with_name(part, names) for part in content]}


def _with_name(part: Any, names: Mapping[str, str]) -> Any:
    name = part.get("type") if isinstance(part, dict) else None
    return {**part, "type": names[name]} if isinstance(name, str) and name in names else part


# --- What a client says -----------------------------------------------------------------------------------------------


def client_event(event: Json) -> Json:
    """Return an event of a beta client in the contract's words. Never raises, and leaves `event` as it is."""
    kind = event.get("type")
    translate = _CLIENT_EVENTS.get(kind) if isinstance(kind, str) else None
    return translate(event) if translate is not None else event


def session_body(session: Json, kind: str) -> Json:
    """Return a flat session of the beta as the `session` of the contract, of that kind."""
    dropped = _WITHOUT_EFFECT | {"modalities"} if kind == "transcription" else _WITHOUT_EFFECT
    return {"type": kind, **_to_ga(session, SESSION_FIELDS, dropped)}


def secret_request(body: Any, kind: str) -> Any:
    """Return the body that asks for a session by the beta's REST calls as that of `client_secrets` (contract 1.7)."""
    if not isinstance(body, dict):
        return body
    given = body.get("client_secret")
    lifetime = (given.get("expires_after") or given.get("expires_at")) if isinstance(given, dict) else None
    if not isinstance(lifetime, dict):
        lifetime = {}
    return {"expires_after": {"seconds": SECRET_S, **lifetime}, "session": session_body(body, kind)}


def _session_update(kind: str, event: Json) -> Json:
    event = {**event, "type": "session.update"}
    if isinstance(event.get("session"), dict):
        event["session"] = session_body(event["session"], kind)
    return event


def _response_create(event: Json) -> Json:
    given = event.get("response")
    if not isinstance(given, dict):
        return event
    response = _to_ga(given, PARAMETER_FIELDS)
    if isinstance(response.get("input"), list):
        response["input"] = [_item(item) for item in response["input"]]
    return {**event, "response": response}


def _item_create(event: Json) -> Json:
    return {**event, "item": _item(event["item"])} if "item" in event else event


_CLIENT_EVENTS: Final[Mapping[str, Callable[[Json], Json]]] = {
    "session.update": partial(_session_update, "realtime"),
    "transcription_session.update": partial(_session_update, "transcription"),
    "response.create": _response_create,
    "conversation.item.create": _item_create,
}
"""Those that are not the same in both."""


# --- What the server says ---------------------------------------------------------------------------------------------

RENAMED: Final[Mapping[str, str]] = {
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": AUDIO_DELTA,
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
}

NOT_SHOWN: Final = frozenset(
    {
        "conversation.item.done",  # `conversation.item.added` is what the beta calls created
        "conversation.item.input_audio_transcription.segment",
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.dtmf_event_received",
        *(f"mcp_list_tools.{state}" for state in ("in_progress", "completed", "failed")),
        *(f"response.mcp_call.{state}" for state in ("in_progress", "completed", "failed")),
        *(f"response.mcp_call_arguments.{state}" for state in ("delta", "done")),
    }
)
"""What the beta has no word for."""


def session_object(session: Json) -> Json:
    """Return a session of the contract, as it is shown, in the beta's shape."""
    beta = _to_beta(session, SESSION_FIELDS, _SESSION_ONLY_GA)
    if session.get("type") != "transcription":
        beta["temperature"] = TEMPERATURE
    return {**beta, "client_secret": None}


class ServerWords:
    """Translates what one beta client is sent, event by event: what is not shown leaves gaps, which it closes."""

    def __init__(self) -> None:
        self._conversation_id: str | None = None
        self._before: dict[str, str | None] = {}
        """By the id of an item that is not shown: the shown one before it."""
        self._events: Mapping[str, Callable[[Json], list[Json]]] = {
            "session.created": self._session_created,
            "session.updated": self._session_updated,
            "conversation.item.added": self._added,
            "conversation.item.retrieved": self._of_item,
            "response.output_item.added": self._of_item,
            "response.output_item.done": self._of_item,
            "response.created": self._of_response,
            "response.done": self._of_response,
            "input_audio_buffer.committed": lambda event: [self._placed(event)],
            "error": lambda event: [{**event, "error": error_body(event["error"])}],
        }

    def of(self, event: Json) -> list[Json]:
        """Return the events that a beta client is sent for one of the contract's: mostly one, sometimes none."""
        kind = event["type"]
        if kind in NOT_SHOWN:
            return []
        translate = self._events.get(kind)
        if translate is not None:
            return translate(event)
        return [{**event, "type": RENAMED[kind]} if kind in RENAMED else event]

    def _session_created(self, event: Json) -> list[Json]:
        session = event["session"]
        if session.get("type") == "transcription":
            return [{**event, "type": "transcription_session.created", "session": session_object(session)}]
        self._conversation_id = str(session["id"]).replace("sess_", "conv_", 1)
        begun = {
            "type": "conversation.created",
            "event_id": f"{event['event_id']}_conversation",
            "conversation": {"id": self._conversation_id, "object": "realtime.conversation"},
        }
        return [{**event, "session": session_object(session)}, begun]

    def _session_updated(self, event: Json) -> list[Json]:
        session = event["session"]
        kind = "transcription_session.updated" if session.get("type") == "transcription" else "session.updated"
        return [{**event, "type": kind, "session": session_object(session)}]

    def _added(self, event: Json) -> list[Json]:
        event = self._placed({**event, "type": "conversation.item.created"})
        item = event["item"]
        if item["type"] not in _BETA_ITEMS:
            self._before[item["id"]] = event["previous_item_id"]
            return []
        return self._of_item(event)

    def _placed(self, event: Json) -> Json:
        """Put the item behind one that is shown: clients order by it."""
        previous: str = event.get("previous_item_id") or ""
        return {**event, "previous_item_id": self._before.get(previous, previous or None)}

    def _of_item(self, event: Json) -> list[Json]:
        item = event["item"]
        return [{**event, "item": _with_parts(item, _BETA_PARTS)}] if item["type"] in _BETA_ITEMS else []

    def _of_response(self, event: Json) -> list[Json]:
        response = event["response"]
        beta = _to_beta(response, _SHOWN_FIELDS, _RESPONSE_ONLY_GA)
        beta["temperature"] = TEMPERATURE
        beta["output"] = [
            _with_parts(item, _BETA_PARTS) for item in response.get("output", []) if item["type"] in _BETA_ITEMS
        ]
        if beta.get("conversation_id") is not None:
            beta["conversation_id"] = self._conversation_id or beta["conversation_id"]
        return [{**event, "response": beta}]


# --- Errors -----------------------------------------------------------------------------------------------------------

_PATHS: Final = sorted(
    (
        (f"{of}.{'.'.join(field.path)}", f"{of}.{field.beta}", field.is_format)
        for of, fields in (("session", SESSION_FIELDS), ("response", PARAMETER_FIELDS))
        for field in fields
    ),
    key=lambda path: -len(path[0]),
)
_WORDS: Final = {**_BETA_FORMATS, **_BETA_PARTS}
_QUOTED: Final = re.compile(r"'([^']*)'")


def error_body(error: Json) -> Json:
    """Return an error in the beta's words: where in the event it is, and what could have stood there."""
    return {**error, "message": message(error["message"]), "param": parameter(error["param"])}


def message(text: str, path: Callable[[str], str | None] | None = None) -> str:
    """Return a message with the names that stand in quotes translated; paths by `path`, as `parameter` has them."""
    named = path or parameter
    return _QUOTED.sub(lambda quoted: f"'{_WORDS.get(quoted[1]) or named(quoted[1])}'", text)


def body_parameter(path: str | None) -> str | None:
    """Return the path in the body of a REST call of the beta, in which the session is not a part but the whole."""
    if path is not None and path.startswith("expires_after"):
        return f"client_secret.{path}"
    return path and str(parameter(path)).removeprefix("session.")


def parameter(path: str | None) -> str | None:
    """Return the path that the beta has for one of the contract."""
    for ga, beta, is_format in _PATHS:
        if path is not None and (path == ga or path.startswith((f"{ga}.", f"{ga}["))):
            return beta if is_format else beta + path[len(ga) :]
    return path
