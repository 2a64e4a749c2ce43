"""What a client asks of `POST /v1/realtime/client_secrets`, and how strictly it is read (contract 1.2)."""

from typing import Final, Literal

import msgspec
from pydantic import Field, ValidationError

from voice.errors import ContractError
from voice.protocol.session_config import SessionUpdateBody
from voice.protocol.session_fields import ConfigModel
from voice.protocol.validation import explain

_decoder: Final = msgspec.json.Decoder()


class ExpiresAfter(ConfigModel):
    """How long a secret opens sessions."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(600, ge=10, le=7200)


class SecretRequest(ConfigModel):
    """The body; all of it is optional."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: SessionUpdateBody = SessionUpdateBody(type="realtime")
    """What sessions opened with the secret begin with."""


def decode_secret_request(body: bytes) -> SecretRequest:
    """Return the request; an empty body asks for the defaults.

    Raises: ContractError with the path of the first thing that is wrong.
    """
    try:
        value = _decoder.decode(body) if body.strip() else {}
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ContractError("We could not parse the JSON body of your request.", code=None) from None
    try:
        return SecretRequest.model_validate(value)
    except ValidationError as error:
        problem = explain(error)
        raise ContractError(problem.message, code=problem.code, param=problem.param or None) from None
