"""Which items an engine is given when a conversation has outgrown its context (contract 3.7). Pure.

    tokens:   |instructions, tools|  item  item  item  item  item  item  |   limit
    auto                             dropped ┘ until the rest fits
    retention_ratio r                dropped ──────┘ until r of the limit is left: rarer, and kinder to a prompt cache
    disabled                         nothing is dropped; the response fails

What is dropped stays in the conversation, and can be retrieved; only what the engine is given shrinks.
"""

from collections.abc import Sequence

from voice.engines.port import EngineSettings
from voice.errors import ContextTooLong
from voice.protocol.session_fields import RetentionRatio, Truncation
from voice.session.items import Item, ToolCall, ToolOutput
from voice.session.usage import item_tokens, settings_tokens


def fitted(
    items: tuple[Item, ...], settings: EngineSettings, truncation: Truncation, context_tokens: int
) -> tuple[Item, ...]:
    """Return the items that go to an engine that takes `context_tokens`, instructions and tools included.

    The last item always goes. Raises: ContextTooLong where nothing may be dropped.
    """
    sizes = [_size(item) for item in items]
    limit = _limit(settings, truncation, context_tokens)
    entire = sum(sizes)
    if entire <= limit:
        return items
    if truncation == "disabled":
        raise ContextTooLong(
            f"The conversation has {entire} tokens, {limit} fit, and truncation is disabled: delete items, or allow it."
        )
    wanted = limit * truncation.retention_ratio if isinstance(truncation, RetentionRatio) else limit
    first = 0
    while first < len(items) - 1 and entire > wanted:
        entire -= sizes[first]
        first += 1
    return _with_their_calls(items[first:])


def _limit(settings: EngineSettings, truncation: Truncation, context_tokens: int) -> int:
    room = max(0, context_tokens - settings_tokens(settings).text)
    if isinstance(truncation, RetentionRatio) and truncation.token_limits is not None:
        post_instructions = truncation.token_limits.post_instructions
        return room if post_instructions is None else min(room, post_instructions)
    return room


def _size(item: Item) -> int:
    tokens = item_tokens(item)
    return tokens.text + tokens.audio + tokens.image


def _with_their_calls(items: Sequence[Item]) -> tuple[Item, ...]:
    """Leave out the outputs whose calls are gone: no engine takes an answer to a question it has not asked."""
    calls = {item.call_id for item in items if isinstance(item, ToolCall)}
    return tuple(item for item in items if not isinstance(item, ToolOutput) or item.call_id in calls)
