"""Makes one answer: clauses that are spoken as they are thought, or a tool call that passes its check."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from voice.engines.cascade_options import CascadeOptions
from voice.engines.model_port import Finished, Models
from voice.engines.port import (
    AudioDelta,
    EngineDone,
    EngineSettings,
    ResponseEvent,
    TextDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
)
from voice.engines.prompt import STOP, call_text
from voice.engines.routing import Route
from voice.engines.speech import Speaker
from voice.engines.thinking import Call, Clause, think
from voice.engines.tool_check import CheckedCall, RefusedCall, check_call

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Slot:
    """Who asks the models."""

    session_id: str
    name: str
    """The cache slot that the prompt is worked into."""


class Answer:
    """One response under way. Use its iterators under `aclosing`, and only one of them."""

    def __init__(
        self,
        models: Models,
        slot: Slot,
        settings: EngineSettings,
        options: CascadeOptions,
        mint_call_id: Callable[[], str],
    ) -> None:
        self._models = models
        self._slot = slot
        self._settings = settings
        self._options = options
        self._mint_call_id = mint_call_id
        self._speaker = Speaker(models, slot.session_id, settings)
        self._has_spoken = False
        self._reached_limit = False
        self._call: str | None = None
        self.written = ""
        """What the next prompt will have in the place of this answer."""
        self.is_cached = False
        """The model has written it itself: it stands in the cache slot."""

    async def say(self, words: str) -> AsyncGenerator[ResponseEvent, None]:
        """Speak words that are given. Raises: EngineError."""
        self.written = words
        async with aclosing(self._utter(words)) as events:
            async for event in events:
                yield event
        yield EngineDone()

    async def think(self, prompt: str, plan: Route, *, otherwise: str) -> AsyncGenerator[ResponseEvent, None]:
        """Answer with the model, or with other words where it has none that may be spoken. Raises: EngineError.

        A call that may not be made becomes words after all.
        """
        call = self._checked(plan.determined_call(""), plan)
        if call is None:
            async with aclosing(self._speak_thoughts(prompt, plan)) as events:
                async for event in events:
                    yield event
            call = self._checked(self._call, plan)
            if self._call is not None and call is None and not self._reached_limit:
                async with aclosing(self._speak_thoughts(prompt, plan.only_talk())) as events:
                    async for event in events:
                        yield event
        if call is not None:
            for event in self._call_events(call):
                yield event
        elif not self._has_spoken and not self._reached_limit:
            async with aclosing(self._utter(otherwise)) as events:
                async for event in events:
                    yield event
            self.written, self.is_cached = otherwise, False
        yield EngineDone("max_output_tokens" if self._reached_limit else "completed")

    async def _speak_thoughts(self, prompt: str, plan: Route) -> AsyncGenerator[ResponseEvent, None]:
        """Let the model write; speak its clauses, keep its call."""
        self._call, self.is_cached = None, True
        early = self._settings.output_modality == "audio"
        pieces = self._generate(prompt, plan)
        async with aclosing(think(pieces, early=early, determined=plan.determined_call)) as thoughts:
            async for thought in thoughts:
                if isinstance(thought, Clause):
                    if plan.leaks(thought.text):
                        return
                    async with aclosing(self._utter(thought.text)) as events:
                        async for event in events:
                            yield event
                elif isinstance(thought, Call):
                    self._call = thought.text
                else:
                    self.written, self._reached_limit = thought.text, thought.reached_limit

    async def _utter(self, clause: str) -> AsyncGenerator[ResponseEvent, None]:
        yield TextDelta(f" {clause}" if self._has_spoken else clause)
        self._has_spoken = True
        if self._settings.output_modality == "audio":
            async with aclosing(self._speaker.speak(clause)) as frames:
                async for frame in frames:
                    yield AudioDelta(frame)

    def _generate(self, prompt: str, plan: Route) -> AsyncGenerator[str | Finished, None]:
        own_limit = self._options.max_output_tokens
        return self._models.generate(
            self._slot.name,
            prompt,
            max_tokens=min(own_limit, self._settings.max_output_tokens or own_limit),
            grammar=plan.grammar.gbnf,
            stop=STOP,
            temperature=self._options.temperature,
        )

    def _checked(self, text: str | None, plan: Route) -> CheckedCall | None:
        if text is None or self._reached_limit:
            return None
        try:
            call = check_call(text, plan.offers)
        except RefusedCall as error:
            log.info("tool call refused", session=self._slot.session_id, why=str(error))
            return None
        self.written = call_text(call.name, call.arguments)
        return call

    def _call_events(self, call: CheckedCall) -> list[ResponseEvent]:
        call_id = self._mint_call_id()
        return [
            ToolCallStarted(call_id, call.name),
            ToolCallDelta(call_id, call.arguments),
            ToolCallDone(call_id, call.name, call.arguments),
        ]
