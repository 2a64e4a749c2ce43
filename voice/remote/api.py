"""One OpenAI-compatible server: requests with retries and deadlines over a pool of connections.

Every failure becomes an EngineError with words that may be shown to a caller's client; what the server said goes to
the log, without keys and without what callers said.
"""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import aiohttp
import structlog

from voice.errors import EngineError, EngineOverloaded, EngineProtocolError, EngineRefused, EngineUnavailable
from voice.remote.retry import RetryPolicy, may_retry, retry_after_s
from voice.remote.sse import EventReader, EventTooLarge

log = structlog.get_logger(__name__)

_ERROR_BYTES: Final = 8 * 1024
_CONNECT_S: Final = 5.0
_CHUNK_BYTES: Final = 16 * 1024
_Value = TypeVar("_Value")

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model is, and how to be let in."""

    url: str
    """Base URL, as official clients take it: `https://host/v1`."""
    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with every request: an organisation, a project."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Added to every URL, as Azure's `api-version`."""


class Pool:
    """The connections of the whole service, opened when first needed."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The client; on the event loop that asks first."""
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=0, limit_per_host=256, keepalive_timeout=60)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=True)
        return self._session

    async def aclose(self) -> None:
        """Close every connection. Safe to call twice."""
        if self._session is not None:
            await self._session.close()


class Api:
    """Asks one server."""

    def __init__(
        self, pool: Pool, server: Server, policy: RetryPolicy | None = None, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._pool = pool
        self._server = server
        self._policy = policy or RetryPolicy()
        self._sleep = sleep

    async def fetch_json(
        self,
        path: str,
        *,
        json_body: Mapping[str, Any] | None = None,
        form: Callable[[], aiohttp.FormData] | None = None,
    ) -> dict[str, Any]:
        """POST and return the answer. Raises: EngineError and its kinds."""
        async with self._answer(path, json_body, form) as response:
            content = await _read(response.read())
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise EngineProtocolError(f"The server's answer to {path} is no JSON object.")
        return answer

    async def stream_events(
        self,
        path: str,
        *,
        json_body: Mapping[str, Any] | None = None,
        form: Callable[[], aiohttp.FormData] | None = None,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """POST and yield the JSON of each server-sent event, up to `[DONE]` or the end. Use it under `aclosing`.

        Raises: EngineError and its kinds; EngineProtocolError for what is no event.
        """
        reader = EventReader()
        async with self._answer(path, json_body, form) as response:
            async for data in _chunks(response):
                try:
                    events = reader.feed(data)
                except EventTooLarge as error:
                    raise EngineProtocolError(f"The server's stream cannot be read: {error}.") from error
                for event in events:
                    if event.data == "[DONE]":
                        return
                    yield _event_object(event.data)

    async def stream_bytes(self, path: str, *, json_body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """POST and yield the answer's bytes as they come. Use it under `aclosing`. Raises: EngineError."""
        async with self._answer(path, json_body, None) as response:
            async for data in _chunks(response):
                yield data

    @asynccontextmanager
    async def _answer(
        self, path: str, json_body: Mapping[str, Any] | None, form: Callable[[], aiohttp.FormData] | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask until there is a 2xx answer or no sense in asking again; leaving closes the answer."""
        attempt = 0
        while True:
            attempt += 1
            try:
                response = await self._send(path, json_body, form)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                failure: EngineError = EngineUnavailable("The model's server cannot be reached.")
                wait_s = self._policy.wait_s(attempt, None, random.random())
                self._note(path, attempt, type(error).__name__, wait_s)
            else:
                if response.status < 300:
                    break
                status, asked_s = response.status, retry_after_s(response.headers)
                code, words = await _refusal(response)
                failure = _failure(status, code, asked_s)
                wait_s = self._policy.wait_s(attempt, asked_s, random.random()) if may_retry(status, code) else None
                self._note(path, attempt, f"{status} {code or ''} {words}".strip(), wait_s)
            if wait_s is None:
                raise failure
            await self._sleep(wait_s)
        try:
            yield response
        finally:
            response.close()

    async def _send(
        self, path: str, json_body: Mapping[str, Any] | None, form: Callable[[], aiohttp.FormData] | None
    ) -> aiohttp.ClientResponse:
        server = self._server
        headers = dict(server.headers)
        if server.key is not None:
            headers["Authorization"] = f"Bearer {server.key}"
        return await self._pool.session.post(
            server.url.rstrip("/") + path,
            params=dict(server.query),
            headers=headers,
            json=json_body,
            data=form() if form is not None else None,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
            allow_redirects=False,  # a key must not follow one to another host
        )

    def _note(self, path: str, attempt: int, why: str, wait_s: float | None) -> None:
        log.warning("request failed", url=self._server.url, path=path, attempt=attempt, why=why, again_in_s=wait_s)


async def _chunks(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    try:
        async for data in response.content.iter_any():
            yield data
    except (aiohttp.ClientError, OSError) as error:
        raise EngineUnavailable("The model's server broke off in the middle of its answer.") from error


async def _read(reading: Awaitable[_Value]) -> _Value:
    try:
        return await reading
    except (aiohttp.ClientError, OSError) as error:
        raise EngineUnavailable("The model's server broke off in the middle of its answer.") from error


def _event_object(data: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise EngineProtocolError("The server's stream holds something that is no JSON object.")
    error = value.get("error")
    if isinstance(error, dict):
        log.warning(
            "request failed in its stream", code=str(error.get("code"))[:64], why=str(error.get("message"))[:200]
        )
        raise EngineUnavailable("The model's server failed in the middle of its answer.")
    return value


async def _refusal(response: aiohttp.ClientResponse) -> tuple[str | None, str]:
    """Return the code and the words of an error body; closes the answer."""
    try:
        content = await response.content.read(_ERROR_BYTES)
        error = json.loads(content)["error"]
        return str(error.get("code") or error.get("type") or "")[:64] or None, str(error.get("message"))[:200]
    except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, ""
    finally:
        response.close()


def _failure(status: int, code: str | None, asked_s: float | None) -> EngineError:
    if status == 429 and not may_retry(status, code):
        return EngineRefused("The model's server serves this service no more: its quota is used up.")
    if status == 429:
        return EngineOverloaded("The model's server takes no more requests for now.", asked_s or 1.0)
    if status in (401, 403):
        return EngineRefused("The model's server does not accept this service's key.")
    if status == 404:
        return EngineRefused("The model's server does not know the model or the path.")
    if status >= 500 or status == 408:
        return EngineUnavailable("The model's server had an error.")
    return EngineError("The model's server refused the request.")
