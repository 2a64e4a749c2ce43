"""What a client asks of `POST /v1/realtime/client_secrets`, and how strictly it is read (contract 1.2)."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from voice.errors import ContractError
from voice.protocol.json_reader import UnreadableJson, read_json
from voice.protocol.session_config import SessionUpdateBody
from voice.protocol.session_fields import ConfigModel
from voice.protocol.validation import explain


class ExpiresAfter(ConfigModel):
    """How long a secret opens sessions."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(600, ge=10, le=7200)


class SecretRequest(ConfigModel):
    """The body for conversations and transcriptions; all of it is optional."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: SessionUpdateBody = SessionUpdateBody(type="realtime")
    """What sessions opened with the secret begin with."""


_Request = TypeVar("_Request", bound=BaseModel)


def decode_secret_request(
    body: bytes, model: type[_Request], translate: Callable[[Any], Any] | None = None
) -> _Request:
    """Return the request, a `SecretRequest` or one for another kind of session; an empty body says nothing.

    `translate` takes the JSON from another vocabulary.
    Raises: ContractError with the path of the first thing that is wrong.
    """
    try:
        value = read_json(body) if body.strip() else {}
    except UnreadableJson as error:
        message = f"We could not parse the JSON body of your request: it is {error}."
        raise ContractError(message, code=None) from None
    if not isinstance(value, dict):
        raise ContractError("Invalid body: expected a JSON object.", code="invalid_type")
    try:
        return model.model_validate(value if translate is None else translate(value))
    except ValidationError as error:
        problem = explain(error)
        raise ContractError(problem.message, code=problem.code, param=problem.param or None) from None
