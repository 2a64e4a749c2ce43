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
    items: tuple[Item, ...],
    settings: EngineSettings,
    truncation: Truncation,
    context_tokens: int,
    *,
    reads_speech: bool = False,
) -> tuple[Item, ...]:
    """Return the items that go to an engine that takes `context_tokens`, instructions and tools included.

    `reads_speech`: the engine is given words and no audio, so that speech takes the room of its transcript there. A
    limit of the client's own always counts as its bill does. The last item always goes.

    Raises: ContextTooLong where nothing may be dropped.
    """
    budgets = [_Budget([_size(item, reads_speech) for item in items], context_tokens - settings_tokens(settings).text)]
    if isinstance(truncation, RetentionRatio) and truncation.token_limits is not None:
        post_instructions = truncation.token_limits.post_instructions
        if post_instructions is not None:
            budgets.append(_Budget([_size(item) for item in items], post_instructions))
    exceeded = [budget for budget in budgets if budget.entire > budget.limit]
    if not exceeded:
        return items
    if truncation == "disabled":
        raise ContextTooLong(
            f"The conversation has {exceeded[0].entire} tokens, {exceeded[0].limit} fit, and truncation is disabled: "
            "delete items, or allow it."
        )
    kept = truncation.retention_ratio if isinstance(truncation, RetentionRatio) else 1.0
    return _with_their_calls(items[max(budget.first_kept(kept) for budget in exceeded) :])


class _Budget:
    """So many tokens for items of these sizes."""

    def __init__(self, sizes: Sequence[int], limit: int) -> None:
        self._sizes = sizes
        self.limit = max(0, limit)
        self.entire = sum(sizes)

    def first_kept(self, ratio: float) -> int:
        """Return from where on the items take no more than that part of the limit; the last one at most."""
        first, left = 0, self.entire
        while first < len(self._sizes) - 1 and left > self.limit * ratio:
            left -= self._sizes[first]
            first += 1
        return first


def _size(item: Item, reads_speech: bool = False) -> int:
    tokens = item_tokens(item, reads_speech=reads_speech)
    return tokens.text + tokens.audio + tokens.image


def _with_their_calls(items: Sequence[Item]) -> tuple[Item, ...]:
    """Leave out the outputs whose calls are gone: no engine takes an answer to a question it has not asked."""
    calls = {item.call_id for item in items if isinstance(item, ToolCall)}
    return tuple(item for item in items if not isinstance(item, ToolOutput) or item.call_id in calls)
