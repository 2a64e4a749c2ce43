"""What an engine is asked: a request for a response, cut to the context that it takes."""

from dataclasses import replace

from voice.engines.port import ResponseRequest
from voice.protocol.response_params import ResponseParams
from voice.session.core import Core
from voice.session.items import Item
from voice.session.truncation import fitted


def make_request(
    core: Core,
    items: tuple[Item, ...] | None = None,
    *,
    params: ResponseParams | None = None,
    in_conversation: bool = True,
    speculative: bool = False,
    say: str | None = None,
    may_call: bool = True,
) -> ResponseRequest:
    """Return a request with an id of its own. `items` is its context, None for the conversation's.

    `may_call=False` forbids tools, whatever the session says.
    """
    settings = core.engine_settings(params)
    return ResponseRequest(
        response_id=core.out.ids.mint("resp"),
        items=core.conversation.items if items is None else items,
        settings=settings if may_call else replace(settings, tool_choice="none"),
        in_conversation=in_conversation,
        speculative=speculative,
        say=say,
    )


def fit(core: Core, request: ResponseRequest) -> ResponseRequest:
    """Return the request with the items that fit (contract 3.7). Raises: ContextTooLong."""
    capabilities = core.capabilities
    items = fitted(
        request.items,
        request.settings,
        core.config.truncation,
        capabilities.context_tokens,
        reads_speech=not capabilities.hears_audio,
    )
    return request if items is request.items else replace(request, items=items)
