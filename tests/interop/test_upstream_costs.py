"""What five minutes with an upstream cost: by the hand, by the log, and in the metrics."""

import asyncio
import base64
import json
import re
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from voice.talk.service import ServiceProcess

Frame = dict[str, Any]
WORDS = "Our ship sails at noon from the old harbour."
"""44 characters: 11 tokens."""

TURNS = 10
TEN_SECONDS = base64.b64encode(bytes(480_000)).decode()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The first of two instances; the second answers every turn with 20 s of speech, faster than it is spoken."""
    folder: Path = tmp_path_factory.mktemp("chain")
    (folder / "script.yaml").write_text(f'turns: [{{reply: [{{say: "{WORDS}", audio_ms: 20000}}]}}]\n')
    (folder / "back.yaml").write_text(
        "engines: {script: {type: scripted, script: script.yaml}}\naliases: {gpt-realtime: script}\n"
    )
    with ServiceProcess("--config", str(folder / "back.yaml"), ready_timeout_s=30) as back:
        (folder / "front.yaml").write_text(
            f"engines: {{up: {{type: upstream, url: '{back.url}', model: gpt-realtime}}}}\n"
            "aliases: {gpt-realtime: up}\nlog: {level: info}\n"
        )
        with ServiceProcess("--config", str(folder / "front.yaml"), ready_timeout_s=30) as front:
            yield front


def by_hand() -> Decimal:
    """Ten turns of 10 s of the caller (100 tokens) and 20 s of the agent (400 tokens and 11 of text).

    Turn n sends n turns of the caller and n - 1 of the agent; what turn n - 1 had sent, it finds in the cache.
    The instructions are 3 tokens.
    """
    new_audio = 100 + 9 * (400 + 100)
    cached_audio = sum(100 * (n - 1) + 400 * (n - 2) for n in range(2, TURNS + 1))
    new_text, cached_text = 3, 9 * 3
    dollars_a_million = (
        new_audio * Decimal("32.00")
        + cached_audio * Decimal("0.40")
        + TURNS * 400 * Decimal("64.00")
        + new_text * Decimal("4.00")
        + cached_text * Decimal("0.40")
        + TURNS * 11 * Decimal("16.00")
    )
    return dollars_a_million / 1_000_000


async def test_five_minutes_cost_what_the_hand_says(chain: ServiceProcess, hold: Any) -> None:
    async def conversation(client: Any) -> None:
        detection: Any = {"input": {"turn_detection": None}}
        await client.connection.session.update(
            session={"type": "realtime", "instructions": "Be brief.", "audio": detection}
        )
        for turn in range(1, TURNS + 1):
            speech = [{"type": "input_audio", "audio": TEN_SECONDS}]
            await client.connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": speech}
            )
            await client.connection.response.create()
            await client.wait(lambda frames, turn=turn: _answered(frames) == turn)

    frames = await hold(chain, "gpt-realtime", conversation)
    session = frames[0]["session"]["id"]
    async with asyncio.timeout(10):
        while not (ended := _ended(chain, session)):  # noqa: ASYNC110 - the log of another process
            await asyncio.sleep(0.05)
    assert by_hand() == Decimal("0.4125428")
    assert ended["cost_usd"] == float(round(by_hand(), 6))
    with urllib.request.urlopen(f"{chain.http_url}/metrics") as answer:  # noqa: ASYNC210 - nothing else goes on
        text = answer.read().decode()
    counted = re.search(r'^voice_cost_usd_total\{model="gpt-realtime"\} (\S+)$', text, re.MULTILINE)
    assert counted is not None, [line for line in text.splitlines() if "cost" in line]
    assert float(counted[1]) == pytest.approx(float(by_hand()), abs=1e-9)


def _answered(frames: list[Frame]) -> int:
    return sum(frame["type"] == "response.done" for frame in frames)


def _ended(service: ServiceProcess, session: str) -> Frame | None:
    """The line of the session's end."""
    lines = [line for line in service.output(1000).splitlines() if session in line and '"session ended"' in line]
    return json.loads(lines[-1]) if lines else None
