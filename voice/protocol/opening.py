"""What a session begins with when its client says so before it is open: the `session` part of a call (contract 1.3)."""

from typing import Any

from pydantic import ValidationError

from voice.errors import ContractError
from voice.protocol.json_reader import UnreadableJson, read_json
from voice.protocol.session_config import SessionUpdateBody
from voice.protocol.session_fields import ConfigModel
from voice.protocol.validation import explain


class _Opening(ConfigModel):
    """Gives problems their path: `session.…`."""

    session: SessionUpdateBody


def decode_opening(text: str | bytes) -> SessionUpdateBody:
    """Return the configuration in a `session` part. Raises: ContractError with the path of the first problem."""
    try:
        value = read_json(text)
    except UnreadableJson as error:
        message = f"We could not parse the JSON of 'session': it is {error}."
        raise ContractError(message, code="invalid_json", param="session") from None
    try:
        return _Opening.model_validate({"session": value}).session
    except ValidationError as error:
        problem = explain(error)
        raise ContractError(problem.message, code=problem.code, param=problem.param or None) from None


def combine(first: SessionUpdateBody | None, second: SessionUpdateBody | None) -> SessionUpdateBody | None:
    """Return one configuration that does what `first` and then `second` would; what is not given changes nothing."""
    if first is None or second is None:
        return second if first is None else first
    merged = _over(first.model_dump(exclude_unset=True), second.model_dump(exclude_unset=True))
    return SessionUpdateBody.model_validate(merged)


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        known = below.get(name)
        # Another kind of turn detection, tool choice or format shares no field with the one before.
        if isinstance(known, dict) and isinstance(value, dict) and known.get("type") == value.get("type"):
            value = _over(known, value)
        merged[name] = value
    return merged
