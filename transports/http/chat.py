"""`/v1/chat/completions` and `/v1/responses`: an engine answers in text, as the official client asks for it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import Final, TypeVar

import structlog
from aiohttp import web

from transports.http.auth import KeyRing, authenticate
from transports.http.body import read_body
from transports.http.event_stream import EventStream
from transports.http.rate_limits import limit_by
from voice.audio.files import decode
from voice.engines.port import ResponseEvent, ResponseRequest
from voice.errors import EngineError
from voice.rest.chat import ChatAnswer, ChatRequest
from voice.rest.responses import ResponsesAnswer, ResponsesRequest
from voice.rest.service import SingleRequests

log = structlog.get_logger(__name__)

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""Recordings and pictures stand in it in base64."""

_Value = TypeVar("_Value")


class Chat:
    """Serves the routes."""

    def __init__(self, requests: SingleRequests, keys: KeyRing) -> None:
        self._requests = requests
        self._keys = keys

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Answer a chat."""
        authenticate(request, self._keys)
        limit_by(request, self._requests.room)
        asked = await _in_thread(ChatRequest.from_json, await read_body(request, MAX_BODY_BYTES))
        self._requests.resolve(asked.model)
        to_engine = await _in_thread(asked.response_request, decode)
        answer = ChatAnswer(to_engine, asked.model, int(time.time()))
        async with aclosing(self._events(asked.model, to_engine)) as events:
            if asked.stream:
                return await _stream_chat(request, events, answer, shows_usage=asked.shows_usage)
            async for event in events:
                for _ in answer.feed(event):
                    pass
        return web.json_response(answer.to_wire())

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Make a response."""
        authenticate(request, self._keys)
        limit_by(request, self._requests.room)
        asked = await _in_thread(ResponsesRequest.from_json, await read_body(request, MAX_BODY_BYTES))
        self._requests.resolve(asked.model)
        to_engine = asked.response_request(decode)
        answer = ResponsesAnswer(asked, to_engine, int(time.time()))
        async with aclosing(self._events(asked.model, to_engine)) as events:
            if asked.stream:
                return await _stream_response(request, events, answer)
            async for event in events:
                for _ in answer.feed(event):
                    pass
        return web.json_response(answer.to_wire())

    def _events(self, model: str, to_engine: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        return self._requests.respond(model, to_engine)


async def _stream_chat(
    request: web.Request, events: AsyncGenerator[ResponseEvent, None], answer: ChatAnswer, *, shows_usage: bool
) -> web.StreamResponse:
    stream = EventStream(request)
    try:
        async for event in events:
            if not stream.is_started:  # an engine that cannot answer at all is still answered by a status
                await stream.send(answer.begin())
            for chunk in answer.feed(event):
                await stream.send(chunk)
    except EngineError as error:
        if not stream.is_started:
            raise
        log.warning("the engine failed in mid-answer", error=error.message)
        await stream.send(
            {"error": {"message": error.message, "type": "server_error", "code": error.code, "param": None}}
        )
        return await stream.finish()
    if shows_usage:
        await stream.send(answer.usage_chunk())
    return await stream.finish(mark=True)


async def _stream_response(
    request: web.Request, events: AsyncGenerator[ResponseEvent, None], answer: ResponsesAnswer
) -> web.StreamResponse:
    stream = EventStream(request)
    try:
        async for event in events:
            if not stream.is_started:
                for opening in answer.begin():
                    await stream.send(opening, opening["type"])
            for sent in answer.feed(event):
                await stream.send(sent, sent["type"])
    except EngineError as error:
        if not stream.is_started:
            raise
        log.warning("the engine failed in mid-answer", error=error.message)
        for sent in answer.fail(error.code, error.message):
            await stream.send(sent, sent["type"])
    return await stream.finish()


async def _in_thread(work: Callable[..., _Value], *arguments: object) -> _Value:
    """Read a body of up to megabytes beside the event loop, which the calls under way share."""
    return await asyncio.to_thread(partial(work, *arguments))
