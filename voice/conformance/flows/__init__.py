"""The canonical flows, one family a file. Importing a file declares its flows."""

from importlib import import_module

from voice.conformance.flow import REGISTRY, Flow

FAMILIES = (
    "session",
    "text",
    "audio",
    "push_to_talk",
    "vad",
    "barge_in",
    "items",
    "tools",
    "out_of_band",
    "transcription",
    "mcp",
    "leg",
    "sideband",
    "translation",
    "errors",
    "rest",
)


def all_flows() -> list[Flow]:
    """Return every flow, family by family."""
    for family in FAMILIES:
        import_module(f"voice.conformance.flows.{family}")
    return sorted(REGISTRY, key=lambda flow: FAMILIES.index(flow.family))


def chosen(names: list[str]) -> list[Flow]:
    """Return the flows whose name, family or kind is among `names`, all of them where there are none.

    Raises: KeyError with the first name that nothing has.
    """
    flows = all_flows()
    for name in names:
        if not any(name in (flow.name, flow.family, flow.kind) for flow in flows):
            raise KeyError(name)
    return [flow for flow in flows if not names or {flow.name, flow.family, flow.kind} & set(names)]
