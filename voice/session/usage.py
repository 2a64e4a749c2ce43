"""Tokens by the rates of contract §5, so that a client's cost meter reads the same whatever engine thinks.

| what | rate |
|---|---|
| user audio | 1 token per 100 ms |
| assistant audio | 1 token per 50 ms |
| text | 4 characters per token, rounded up |
| cached | the longest prefix of items that the previous response also had, instructions and tools unchanged |
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from voice.engines.port import EngineSettings, ResponseRequest, TokenUsage
from voice.session.items import AudioPart, ImagePart, Item, Message, TextPart, ToolCall

USER_AUDIO_MS_PER_TOKEN = 100
ASSISTANT_AUDIO_MS_PER_TOKEN = 50
CHARACTERS_PER_TOKEN = 4
SPOKEN_MS_PER_TOKEN = 250
"""Speech whose words are not known yet: three words a second are about four tokens."""
IMAGE_TOKENS = 258
"""A flat estimate for any picture: the contract names no rate."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Counts by modality."""

    text: int = 0
    audio: int = 0
    image: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.text + other.text, self.audio + other.audio, self.image + other.image)


def text_tokens(text: str) -> int:
    """Estimate of a text's tokens."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def assistant_audio_tokens(duration_ms: int) -> int:
    """Tokens of agent speech."""
    return -(-duration_ms // ASSISTANT_AUDIO_MS_PER_TOKEN)


def user_audio_tokens(duration_ms: int) -> int:
    """Tokens of the caller's speech."""
    return -(-duration_ms // USER_AUDIO_MS_PER_TOKEN)


def item_tokens(item: Item, *, reads_speech: bool = False) -> Tokens:
    """Tokens of one item as input; with `reads_speech`, of an engine that is given the words of speech only."""
    if isinstance(item, ToolCall):
        return Tokens(text=text_tokens(item.name + item.arguments + (item.output or item.error or "")))
    if not isinstance(item, Message):
        return Tokens(text=text_tokens(item.output))
    total = Tokens()
    for part in item.parts:
        if isinstance(part, TextPart):
            total += Tokens(text=text_tokens(part.text))
        elif isinstance(part, ImagePart):
            total += Tokens(image=IMAGE_TOKENS)
        elif reads_speech:
            total += Tokens(text=_read_tokens(part))
        else:
            total += Tokens(audio=_audio_tokens(part, by_user=item.role == "user"))
    return total


def _read_tokens(part: AudioPart) -> int:
    if part.transcript is None:
        return -(-part.duration_ms // SPOKEN_MS_PER_TOKEN)
    return text_tokens(part.transcript)


def _audio_tokens(part: AudioPart, *, by_user: bool) -> int:
    return user_audio_tokens(part.duration_ms) if by_user else assistant_audio_tokens(part.duration_ms)


def settings_tokens(settings: EngineSettings) -> Tokens:
    """Tokens of instructions and tools, which every response sends again."""
    tools = "".join(tool.name + tool.description + json.dumps(tool.parameters) for tool in settings.tools)
    return Tokens(text=text_tokens(settings.instructions) + text_tokens(tools))


class UsageMeter:
    """Counts each response's input, and what of it the previous response had sent already."""

    def __init__(self) -> None:
        self._previous: tuple[EngineSettings, tuple[str, ...]] | None = None

    def count(self, request: ResponseRequest, counted: TokenUsage | None, text: str, audio_ms: int) -> TokenUsage:
        """Return the usage of a finished response: the engine's own count, or the contract's rates.

        `text` is all that it wrote (words, transcripts, arguments); `audio_ms` what it spoke.
        """
        keys = tuple(item.id for item in request.items)
        previous = self._previous
        if request.in_conversation:
            self._previous = (request.settings, keys)
        if counted is not None:
            return counted
        entire = _sum(map(item_tokens, request.items)) + settings_tokens(request.settings)
        cached = Tokens()
        if previous is not None and _same_prefix(previous[0], request.settings):
            shared = sum(1 for _ in _common_prefix(previous[1], keys))
            cached = _sum(map(item_tokens, request.items[:shared])) + settings_tokens(request.settings)
        return TokenUsage(
            input_text=entire.text,
            input_audio=entire.audio,
            input_image=entire.image,
            cached_text=cached.text,
            cached_audio=cached.audio,
            cached_image=cached.image,
            output_text=text_tokens(text),
            output_audio=assistant_audio_tokens(audio_ms),
        )


def _same_prefix(one: EngineSettings, other: EngineSettings) -> bool:
    return one.instructions == other.instructions and one.tools == other.tools


def _common_prefix(one: tuple[str, ...], other: tuple[str, ...]) -> Iterable[str]:
    for left, right in zip(one, other, strict=False):
        if left != right:
            return
        yield left


def _sum(tokens: Iterable[Tokens]) -> Tokens:
    total = Tokens()
    for count in tokens:
        total += count
    return total
