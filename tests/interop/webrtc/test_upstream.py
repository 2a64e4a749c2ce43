"""A WebRTC call whose engine is a second instance: who plays knows what was heard, and tells the other."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess, free_port


@pytest.fixture(scope="module", params=["ours", "upstream"])
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, int]]:
    """The first instance, and the port at which it looks for its upstream."""
    port, path = free_port(), tmp_path_factory.mktemp("front") / "config.yaml"
    path.write_text(
        f"engines: {{up: {{type: upstream, url: 'ws://127.0.0.1:{port}/v1/realtime', model: long-answer, "
        f"turns: {request.param}}}}}\nagents: {{up: {{engine: up}}}}\naliases: {{gpt-realtime: up}}\n"
        "log: {level: warning}\n"
    )
    with ServiceProcess("--config", str(path), ready_timeout_s=30) as service:
        yield service, port


async def test_what_was_not_heard_is_cut_on_both_sides_at_the_same_place(
    stand_before: Any,
    front: tuple[ServiceProcess, int],
    peers: Callable[[], Any],
    scripted: ServiceProcess,
    recorded: Callable[[str], Recording],
    violations: Callable[[list[dict[str, Any]]], list[str]],
) -> None:
    service, port = front
    proxy = stand_before(scripted.url)
    async with proxy.serving(port=port):
        peer = peers()
        await peer.call(service, "up")
        peer.voice.say(recorded("goforward"))
        await peer.event("output_audio_buffer.started")
        await peer.until(lambda: sum(level > -50 for level in peer.levels_dbfs) > 50)
        peer.voice.say(recorded("goforward"))
        cut = await peer.event("conversation.item.truncated")
        done = await peer.event("response.done")
        assert done["response"]["status_details"]["reason"] == "turn_detected"
        await peer.event("response.done", 2)
    (passage,) = proxy.passages
    there = [json.loads(message) for message in passage.to_client]
    cuts = [event for event in there if event["type"] == "conversation.item.truncated"]
    assert [(event["item_id"], event["audio_end_ms"]) for event in cuts] == [(cut["item_id"], cut["audio_end_ms"])]
    assert cut["audio_end_ms"] > 900
    assert violations(peer.events) == []
