"""REST calls and handshakes (contract 1, 2)."""

import json
from functools import partial
from typing import Any

from voice.conformance.flow import request as any_request
from voice.conformance.target import Answer, Target, served
from voice.conformance.verdict import Failed, Frame, NotServed, Skipped, check, equal
from voice.conformance.wire import Refused, WebSocketWire, WireClosed

request = partial(any_request, family="rest")

_UNKNOWN_CALL = "rtc_conformance_nobody"
_UNKNOWN_MODEL = "conformance-no-such-model"


async def _first(wire: WebSocketWire) -> Frame:
    """Return the first frame of a session, and hang up. Raises: Failed."""
    try:
        frame: Frame = json.loads(await wire.receive())
        return frame
    except WireClosed as error:
        raise Failed(f"the server hung up ({error}) without a word") from None
    finally:
        await wire.aclose()


def _is_error(answer: Answer, status: int | None = None) -> None:
    """Check the shape of an error (contract 1.0)."""
    shown = answer.as_frame()
    if status is not None:
        equal("status", answer.status, status, shown)
    check(answer.status >= 400, f"status is {answer.status}", shown)
    missing = [name for name in ("message", "type", "param", "code") if name not in answer.error]
    check(not missing, f"the error lacks {', '.join(missing)}", shown)


# --- Handshakes -----------------------------------------------------------------------------------------------------


@request("subprotocol realtime")
async def subprotocol(target: Target) -> None:
    """A browser offers subprotocols, its key among them: `realtime` is selected, the key never (contract 2.2)."""
    offered = ["realtime", *([f"openai-insecure-api-key.{target.key}"] if target.key else [])]
    wire = await target.open_bare(subprotocols=offered)
    equal("the selected subprotocol", wire.subprotocol, "realtime")
    equal("the first event", (await _first(wire))["type"], "session.created")


@request("no subprotocol")
async def no_subprotocol(target: Target) -> None:
    """Where none was offered, none is selected."""
    wire = await target.open()
    equal("the selected subprotocol", wire.subprotocol, None)
    await _first(wire)


@request("unknown query")
async def unknown_query(target: Target) -> None:
    """Parameters that nobody knows are ignored (contract 2.1)."""
    frame = await _first(await target.open({"colour": "green"}))
    equal("the first event", frame["type"], "session.created", frame)


@request("wrong key")
async def wrong_key(target: Target) -> None:
    """A wrong key is refused at the handshake: 401, `invalid_api_key` (contract 2.3)."""
    if not target.key:
        raise Skipped("no key was given, so the server may want none")
    try:
        wire = await target.open(key="sk-conformance-wrong")
    except Refused as error:
        equal("status", error.status, 401, {"status": error.status, "body": error.body})
        equal("code", error.error.get("code"), "invalid_api_key", error.error)
        return
    frame = await _first(wire)
    raise Failed("a wrong key was taken", frame)


@request("unknown model")
async def unknown_model(target: Target) -> None:
    """A model that nobody has: refused at the handshake, or by an error and a close (contract 2.3)."""
    try:
        wire = await target.open({"model": _UNKNOWN_MODEL})
    except Refused as error:
        shown = {"status": error.status, "body": error.body}
        check(400 <= error.status < 500, f"status is {error.status}", shown)
        check(error.error.get("code") in ("model_not_found", "invalid_model"), "the code names no model", shown)
        return
    frame = await _first(wire)
    check(frame["type"] == "error", "a model that nobody has was taken", frame)


@request("unknown call")
async def unknown_call(target: Target) -> None:
    """A sideband to a call that nobody has: 404, `call_id_not_found` (contract 2.3)."""
    try:
        wire = await target.open({"call_id": _UNKNOWN_CALL, "model": None})
    except Refused as error:
        equal("status", error.status, 404, {"status": error.status, "body": error.body})
        equal("code", error.error.get("code"), "call_id_not_found", error.error)
        return
    raise Failed("a call that nobody has was joined", await _first(wire))


@request("model of a transcription session")
async def model_of_transcription(target: Target) -> None:
    """`intent=transcription` goes without a model: `invalid_model` (contract 2.1)."""
    try:
        wire = await target.open({"intent": "transcription", "model": target.model or "gpt-realtime"})
    except Refused as error:
        shown = {"status": error.status, "body": error.body}
        check(400 <= error.status < 500, f"status is {error.status}", shown)
        equal("code", error.error.get("code"), "invalid_model", shown)
        return
    frame = await _first(wire)
    check(frame["type"] == "error", "a model was taken together with the intent", frame)


@request("beta header")
async def beta_header(target: Target) -> None:
    """The beta's header is refused: `beta_api_shape_disabled`, close 4000 (contract 2.6)."""
    wire = await target.open(headers={"OpenAI-Beta": "realtime=v1"})
    try:
        frame = json.loads(await wire.receive())
        if frame["type"] == "session.created":
            raise NotServed("the beta's clients are served")
        equal("error.code", frame["error"]["code"], "beta_api_shape_disabled", frame)
        try:
            await wire.receive()
        except WireClosed as error:
            equal("the close code", error.code, 4000, frame)
    finally:
        await wire.aclose()


# --- REST -----------------------------------------------------------------------------------------------------------


@request("GET /models")
async def models(target: Target) -> None:
    """The list of what may be asked for (contract 1.9)."""
    answer = served(await target.call("GET", "/models"), "GET /models")
    shown = answer.as_frame()
    equal("status", answer.status, 200, shown)
    equal("object", answer.body["object"], "list", shown)
    check(answer.body["data"], "the list is empty", shown)
    for model in answer.body["data"]:
        kinds = {name: type(model.get(name)) for name in ("id", "object", "created", "owned_by")}
        equal("a model's fields", kinds, {"id": str, "object": str, "created": int, "owned_by": str}, model)


@request("GET /models/{id}")
async def one_model(target: Target) -> None:
    """One of them; one that nobody has is 404."""
    listed = served(await target.call("GET", "/models"), "GET /models")
    id = listed.body["data"][0]["id"]
    answer = served(await target.call("GET", f"/models/{id}"), "GET /models/{id}")
    equal("id", answer.body["id"], id, answer.as_frame())
    _is_error(await target.call("GET", f"/models/{_UNKNOWN_MODEL}"), 404)


@request("x-request-id")
async def request_id(target: Target) -> None:
    """Every answer has an `x-request-id` (contract 1.0)."""
    answer = await target.call("GET", "/models")
    if not answer.headers.get("x-request-id"):
        raise NotServed("answers have no x-request-id")


async def _secret(target: Target, body: dict[str, Any]) -> Answer:
    answer = served(await target.call("POST", "/realtime/client_secrets", json=body), "POST /realtime/client_secrets")
    equal("status", answer.status, 200, answer.as_frame())
    for name, kind in (("value", str), ("expires_at", int), ("session", dict)):
        check(isinstance(answer.body.get(name), kind), f"{name} is missing", answer.as_frame())
    return answer


@request("POST /realtime/client_secrets")
async def client_secret(target: Target) -> None:
    """A client secret opens a session with the configuration that is bound to it (contract 1.2)."""
    session = {"type": "realtime", "instructions": "Bound to the secret."}
    if target.model:
        session["model"] = target.model
    answer = await _secret(target, {"expires_after": {"anchor": "created_at", "seconds": 60}, "session": session})
    check(answer.body["value"].startswith("ek_"), "the value does not begin with ek_", answer.as_frame())
    equal("session.object", answer.body["session"].get("object"), "realtime.session", answer.as_frame())
    frame = await _first(await target.open({"model": None}, key=answer.body["value"]))
    equal("the first event", frame["type"], "session.created", frame)
    equal("instructions", frame["session"]["instructions"], "Bound to the secret.", frame)
    _is_error(await target.call("POST", "/realtime/client_secrets", json={}, key=answer.body["value"]))


@request("lifetime of a client secret")
async def secret_lifetime(target: Target) -> None:
    """From 10 to 7200 s; anything else is 400 (contract 1.2)."""
    for seconds in (5, 7201):
        body = {"expires_after": {"anchor": "created_at", "seconds": seconds}}
        answer = await target.call("POST", "/realtime/client_secrets", json=body)
        _is_error(served(answer, "POST /realtime/client_secrets"), 400)


@request("secret of a transcription session")
async def transcription_secret(target: Target) -> None:
    """A secret may be bound to a transcription session (contract 1.5)."""
    answer = await _secret(target, {"session": {"type": "transcription"}})
    frame = await _first(await target.open({"model": None}, key=answer.body["value"]))
    equal("session.type", frame["session"]["type"], "transcription", frame)


@request("POST /realtime/translations/client_secrets")
async def translation_secret(target: Target) -> None:
    """A secret for a translation session (contract 1.6)."""
    session = {"model": "gpt-realtime-translate", "audio": {"output": {"language": "es"}}}
    path = "/realtime/translations/client_secrets"
    answer = served(await target.call("POST", path, json={"session": session}), f"POST {path}")
    equal("status", answer.status, 200, answer.as_frame())
    equal("session.type", answer.body["session"]["type"], "translation", answer.as_frame())


@request("POST /realtime/calls")
async def calls(target: Target) -> None:
    """What is no SDP offer is refused with an error body (contract 1.3)."""
    headers = {"Content-Type": "application/sdp"}
    answer = await target.call("POST", "/realtime/calls", data="this is no offer", headers=headers)
    _is_error(served(answer, "POST /realtime/calls"))


def _declare_call_control(action: str, body: dict[str, Any] | None) -> None:
    async def play(target: Target) -> None:
        path = f"/realtime/calls/{_UNKNOWN_CALL}/{action}"
        answer = served(await target.call("POST", path, json=body), f"POST /realtime/calls/{{call_id}}/{action}")
        _is_error(answer, 404)
        equal("code", answer.error["code"], "call_id_not_found", answer.as_frame())

    play.__doc__ = "A call that nobody has: 404, `call_id_not_found` (contract 1.4)."
    request(f"POST /realtime/calls/{{call_id}}/{action}")(play)


_declare_call_control("accept", {"type": "realtime", "model": "gpt-realtime"})
_declare_call_control("reject", {})
_declare_call_control("refer", {"target_uri": "tel:+14155550123"})
_declare_call_control("hangup", None)
