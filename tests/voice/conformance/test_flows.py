"""What the flows declare fits the contract, and together they show all of it."""

import pytest

from voice.conformance.contract import CLIENT_EVENTS, LEGACY, PLAYING_LEG_ONLY, SERVER_EVENTS
from voice.conformance.flows import FAMILIES, all_flows, chosen

FLOWS = all_flows()


def test_the_contract_has_its_numbers() -> None:
    assert len(set(CLIENT_EVENTS)) == 11
    assert len(set(SERVER_EVENTS)) == 46


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_a_flow_says_what_it_is(flow) -> None:
    assert flow.summary.endswith((".", ")."))
    assert flow.family in FAMILIES
    assert set(flow.sends) <= set(CLIENT_EVENTS)
    assert {*flow.shows, *flow.may} <= set(SERVER_EVENTS)


def test_names_are_unique() -> None:
    assert len({flow.name for flow in FLOWS}) == len(FLOWS)


def test_every_client_event_is_sent() -> None:
    assert {type for flow in FLOWS for type in flow.sends} == set(CLIENT_EVENTS)


def test_every_server_event_is_shown_where_it_can_be() -> None:
    on_leg = {type for flow in FLOWS if flow.on_leg for type in flow.shows}
    on_websocket = {type for flow in FLOWS if not flow.on_leg for type in flow.shows}
    assert on_websocket == set(SERVER_EVENTS) - LEGACY - PLAYING_LEG_ONLY
    assert on_leg >= PLAYING_LEG_ONLY


def test_flows_are_chosen_by_name_family_or_kind() -> None:
    assert [flow.name for flow in chosen(["text turn"])] == ["text turn"]
    assert {flow.family for flow in chosen(["vad", "mcp"])} == {"vad", "mcp"}
    assert {flow.kind for flow in chosen(["error"])} == {"error"}
    assert chosen([]) == FLOWS
    with pytest.raises(KeyError, match="nonsense"):
        chosen(["text", "nonsense"])
