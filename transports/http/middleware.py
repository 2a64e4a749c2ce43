"""What every request meets: an id, the loopback check, and errors as the JSON of contract 1.0."""

import secrets
from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from transports.http.errors import ApiError
from transports.http.origin import require_loopback
from voice.errors import CapacityError, ContractError, EngineError, EngineOverloaded, EngineUnavailable, KeyLimitReached

log = structlog.get_logger(__name__)

REQUEST_ID: Final = web.RequestKey("request_id", str)
"""`req_…`: in the `x-request-id` header of the answer and in the log."""

CALL_ID: Final = web.RequestKey("call_id", str)
"""`rtc_…`: in the `x-call-id` header of the 101, so that a session over WebSocket can be joined (an extension)."""

_HAS_BEGUN: Final = web.RequestKey("has_begun", bool)
"""The head of an answer is on its way: there can be no other."""

_STATUS_CODES = {400: "bad_request", 404: "unknown_url", 405: "method_not_allowed", 413: "request_too_large"}


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the request id on every answer, the 101 among them (signal `on_response_prepare`)."""
    request[_HAS_BEGUN] = True
    response.headers["x-request-id"] = request_id(request)
    if CALL_ID in request:
        response.headers["x-call-id"] = request[CALL_ID]
    response.headers[hdrs.SERVER] = "realtime-voice-agent"


def guard(*, loopback_only: bool) -> Middleware:
    """Return the outermost middleware; `loopback_only` where no keys are configured."""

    @web.middleware
    async def handle(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if loopback_only:
                require_loopback(request)
            return await handler(request)
        except ApiError as error:
            return _refusal(request, error)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return _refusal(request, _from_http(request, error))
        except (ContractError, CapacityError, EngineError) as error:
            return _refusal(request, from_voice(error))
        except web.RequestPayloadError:
            message = "The body is not what the headers of the request say."
            return _refusal(request, ApiError(400, message, code="invalid_body"))
        except ConnectionError:
            raise  # the client is gone: nobody to answer, nothing to mend
        except Exception:  # the boundary of a request: logged here, once
            log.exception("request failed", request_id=request_id(request), method=request.method, path=request.path)
            return _refusal(request, ApiError(500, "The server had an error while processing your request.", code=None))

    return handle


def from_voice(error: ContractError | CapacityError | EngineError) -> ApiError:
    """Map an error of the core to the answer before the upgrade (contract 2.3)."""
    if isinstance(error, ContractError):
        status = 404 if error.code == "model_not_found" else 400
        return ApiError(status, error.message, code=error.code, param=error.param, type=error.type)
    if isinstance(error, KeyLimitReached):
        return too_many(str(error), error.retry_after_s)
    if isinstance(error, CapacityError):
        # 503, not 429: the caller did nothing too often, and a load balancer tries the next machine.
        return ApiError(503, str(error), code="capacity_exceeded", headers=retry_after(error.retry_after_s))
    if isinstance(error, EngineOverloaded):
        return ApiError(429, error.message, code=error.code, headers=retry_after(error.retry_after_s))
    if isinstance(error, EngineUnavailable):
        return ApiError(503, error.message, code=error.code, headers=retry_after(5.0))
    return ApiError(500, error.message, code=error.code)


def too_many(message: str, retry_after_s: float) -> ApiError:
    """Return the refusal for who has all that it may have."""
    headers = retry_after(retry_after_s)
    return ApiError(429, message, code="rate_limit_exceeded", type="rate_limit_error", headers=headers)


def retry_after(seconds: float) -> dict[str, str]:
    """Return the headers that SDKs wait by: whole seconds for all, milliseconds for those who know them."""
    return {hdrs.RETRY_AFTER: str(max(1, round(seconds))), "retry-after-ms": str(max(1, round(seconds * 1000)))}


def _refusal(request: web.Request, error: ApiError) -> web.Response:
    """Answer. Raises: ConnectionError in the middle of an answer, which then ends without its end, as it has to."""
    if _HAS_BEGUN in request:
        log.warning("answer broken off", request_id=request_id(request), path=request.path, error=error.message)
        raise ConnectionResetError("the answer broke off")
    if error.status in {401, 403, 429, 503}:
        log.info(
            "request refused",
            request_id=request_id(request),
            client_request_id=client_request_id(request),
            status=error.status,
            code=error.code,
            path=request.path,
        )
    return web.json_response(error.body(), status=error.status, headers=error.headers)


def _from_http(request: web.Request, error: web.HTTPException) -> ApiError:
    """Put aiohttp's own refusals into our words."""
    code = _STATUS_CODES.get(error.status)
    headers: dict[str, str] = {
        name: error.headers[name] for name in (hdrs.ALLOW, hdrs.UPGRADE) if name in error.headers
    }
    if error.status == 404:
        message = f"Unknown request URL: {request.method} {request.path}."
    elif error.status == 405:
        message = (
            f"Not allowed to {request.method} on {request.path}: allowed is {error.headers.get(hdrs.ALLOW, 'nothing')}."
        )
    else:
        message = error.text or error.reason
    return ApiError(error.status, message, code=code, headers=headers)


def client_request_id(request: web.Request) -> str | None:
    """Return the id that the client gave its request, cut to what a log takes; None without one."""
    given = request.headers.get("X-Client-Request-Id")
    return given[:128] if given else None


def request_id(request: web.Request) -> str:
    """Return the request's id; minted when first asked for."""
    if REQUEST_ID not in request:
        request[REQUEST_ID] = f"req_{secrets.token_hex(16)}"
    return request[REQUEST_ID]
