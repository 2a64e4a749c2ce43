"""A language model by Chat Completions or Responses: one conversation's view of it."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from voice.engines.port import EngineDone, ResponseEvent, ResponseRequest, TextDelta, TokenUsage
from voice.errors import EngineError, EngineUnavailable
from voice.prices import CostMeter
from voice.remote import chat_wire, responses_wire
from voice.remote.api import Api
from voice.remote.characters import Characters
from voice.remote.options import LanguageOptions

Json = dict[str, Any]


class RemoteThinking:
    """Asks for answers; one object serves one session, since the server may remember the one before."""

    def __init__(self, api: Api, options: LanguageOptions, meter: CostMeter) -> None:
        """`meter` counts what the session costs."""
        self._api = api
        self._meter = meter
        self.options = options
        self._previous = responses_wire.PreviousResponse()

    async def respond(
        self, request: ResponseRequest, transcripts: Mapping[str, str]
    ) -> AsyncGenerator[ResponseEvent, None]:
        """Yield words, tool calls, usage and the end. Use it under `aclosing`. Raises: EngineError and its kinds."""
        ask = self._chat if self.options.api == "chat" else self._responses
        characters = Characters()
        async with aclosing(ask(request, transcripts)) as events:
            async for event in events:
                if isinstance(event, TokenUsage):
                    self._meter.add_tokens(self.options.model, event)
                elif isinstance(event, TextDelta):
                    text = characters.feed(event.text)
                    if text:
                        yield TextDelta(text)
                    continue
                yield event

    async def _chat(
        self, request: ResponseRequest, transcripts: Mapping[str, str]
    ) -> AsyncGenerator[ResponseEvent, None]:
        reader = chat_wire.ChatReader()
        body = chat_wire.body(self.options, request, transcripts)
        async with aclosing(self._stream(chat_wire.PATH, body)) as chunks:
            async for chunk in chunks:
                for event in reader.feed(chunk):
                    yield event
        for event in reader.finish():
            yield event

    async def _responses(
        self, request: ResponseRequest, transcripts: Mapping[str, str]
    ) -> AsyncGenerator[ResponseEvent, None]:
        whole = responses_wire.body(self.options, request, transcripts)
        remembers = self.options.refers_to_previous and request.in_conversation
        body = self._previous.shorten(whole) if remembers else whole
        reader = responses_wire.ResponsesReader()
        try:
            async with aclosing(self._stream(responses_wire.PATH, body)) as received:
                async for event in received:
                    for ours in reader.feed(event):
                        if isinstance(ours, EngineDone) and remembers and reader.id is not None:
                            self._previous.note(reader.id, whole, reader.answer_items())
                        yield ours
        except EngineError:
            self._previous.forget()
            if body is whole or reader.id is not None:
                raise
        else:
            reader.finish()
            return
        # The server has lost the answer before: tell it everything again.
        async with aclosing(self._responses(request, transcripts)) as events:
            async for ours in events:
                yield ours

    async def _stream(self, path: str, body: Json) -> AsyncGenerator[Json, None]:
        limit_s = self.options.first_token_s
        async with aclosing(self._api.stream_events(path, json_body=body)) as events:
            while True:
                try:
                    async with asyncio.timeout(limit_s):
                        event = await anext(events, None)
                except TimeoutError:
                    raise EngineUnavailable("The language model took too long.") from None
                if event is None:
                    return
                limit_s = self.options.next_token_s
                yield event
