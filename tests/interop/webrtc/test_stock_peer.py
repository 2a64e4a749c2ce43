"""A stock aiortc peer calls the service: events on its channel, audio on its track, and what happens at the end."""

import asyncio
import re
import socket
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess

Peers = Callable[[], Any]
Check = Callable[[list[dict[str, Any]]], list[str]]

AUDIBLE_DBFS = -45.0


async def repaired_s(service: ServiceProcess) -> float:
    """Return how much audio the service has concealed or recovered so far."""
    async with aiohttp.ClientSession() as http, http.get(f"{service.http_url}/metrics") as answer:
        return sum(
            map(float, re.findall(r"^voice_webrtc_repaired_seconds_total\{.*\} (.*)$", await answer.text(), re.M))
        )


async def test_a_spoken_turn(
    peers: Peers, scripted: ServiceProcess, recorded: Callable[[str], Recording], violations: Check
) -> None:
    peer = peers()
    await peer.call(scripted, "plain")
    assert (await peer.event("session.created")) is peer.events[0]
    peer.voice.say(recorded("goforward"))
    await peer.event("response.done")
    await peer.event("output_audio_buffer.stopped")
    types = peer.types()
    assert types.index("input_audio_buffer.speech_started") < types.index("input_audio_buffer.speech_stopped")
    assert types.index("output_audio_buffer.started") < types.index("output_audio_buffer.stopped")
    assert "response.output_audio.delta" not in types
    assert "response.output_audio.done" in types
    assert sum(level > AUDIBLE_DBFS for level in peer.levels_dbfs) > 20
    assert violations(peer.events) == []


async def test_talking_over_the_answer_truncates_it_at_what_was_heard(
    peers: Peers, scripted: ServiceProcess, recorded: Callable[[str], Recording], violations: Check
) -> None:
    peer = peers()
    await peer.call(scripted, "long-answer")
    peer.voice.say(recorded("goforward"))
    await peer.event("output_audio_buffer.started")
    before = len(peer.levels_dbfs)
    await peer.until(lambda: sum(level > AUDIBLE_DBFS for level in peer.levels_dbfs[before:]) > 50)
    peer.voice.say(recorded("goforward"))
    truncated = await peer.event("conversation.item.truncated")
    heard_ms = 20 * sum(level > AUDIBLE_DBFS for level in peer.levels_dbfs[before:])
    assert 1000 <= truncated["audio_end_ms"] <= heard_ms + 1500
    done = await peer.event("response.done")
    assert done["response"]["status_details"]["reason"] == "turn_detected"
    assert "output_audio_buffer.cleared" in peer.types()
    assert violations(peer.events) == []


async def test_stop_button(peers: Peers, scripted: ServiceProcess) -> None:
    peer = peers()
    await peer.call(scripted, "plain")
    await peer.event("session.created")
    peer.send({"type": "response.create"})
    await peer.event("output_audio_buffer.started")
    await peer.event("response.done")
    peer.send({"type": "output_audio_buffer.clear"})
    await peer.event("output_audio_buffer.cleared")
    await peer.event("conversation.item.truncated")


@pytest.mark.parametrize("payload_type", ["0", "8"])
async def test_g711_is_spoken_too(peers: Peers, scripted: ServiceProcess, payload_type: str) -> None:
    peer = peers()
    await peer.call(scripted, "plain", codecs=[payload_type])
    await peer.event("session.created")
    peer.send({"type": "response.create"})
    await peer.until(lambda: sum(level > AUDIBLE_DBFS for level in peer.levels_dbfs) > 20)


async def test_hang_up_by_the_service_closes_the_connection(peers: Peers, scripted: ServiceProcess) -> None:
    peer = peers()
    closed = asyncio.Event()
    peer.channel.on("close", closed.set)
    await peer.call(scripted, "plain")
    await peer.event("session.created")
    url = f"{scripted.http_url}/v1/realtime/calls/{peer.call_id}/hangup"
    async with aiohttp.ClientSession() as http:
        async with http.post(url) as answer:
            assert answer.status == 200
        async with asyncio.timeout(10):
            await closed.wait()
        async with http.post(url) as answer:
            assert answer.status == 404


async def test_a_peer_that_hangs_up_ends_its_session_and_sidebands(peers: Peers, scripted: ServiceProcess) -> None:
    peer = peers()
    await peer.call(scripted, "plain")
    await peer.event("session.created")
    url = f"{scripted.http_url}/v1/realtime?call_id={peer.call_id}"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as sideband:
        assert (await sideband.receive_json())["type"] == "session.created"
        await peer.connection.close()
        async with asyncio.timeout(5):
            while (message := await sideband.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == 1000


async def test_five_thousand_datagrams_a_second_of_garbage(peers: Peers, scripted: ServiceProcess) -> None:
    peer = peers()
    await peer.call(scripted, "plain")
    await peer.event("session.created")
    found = re.search(r"candidate:\S+ 1 udp \d+ ([\d.]+) (\d+)", peer.connection.remoteDescription.sdp)
    assert found is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(20):
            for number in range(500):
                first = (0, 1, 22, 128, 144, 200, 255)[number % 7]
                stranger.sendto(bytes([first]) + number.to_bytes(2) * (number % 300), (found[1], int(found[2])))
            await asyncio.sleep(0.1)
    peer.send({"type": "response.create"})
    await peer.event("output_audio_buffer.stopped")


async def test_a_bad_path_is_concealed_and_never_stalls(
    peers: Peers, scripted: ServiceProcess, recorded: Callable[[str], Recording], bad_path: Any
) -> None:
    before_s = await repaired_s(scripted)
    peer = peers()
    await peer.call(scripted, "plain", relay=bad_path)
    await peer.event("session.created")
    peer.voice.say(recorded("goforward"))
    await peer.event("output_audio_buffer.stopped")
    transcript = await peer.event("response.output_audio_transcript.done")
    assert transcript["transcript"] == "Good evening and welcome."
    await peer.connection.close()
    assert bad_path.dropped > 10
    async with asyncio.timeout(5):
        while await repaired_s(scripted) - before_s < 0.1:  # noqa: ASYNC110 - counted when the call has ended
            await asyncio.sleep(0.1)


async def test_a_peer_whose_nat_gives_it_another_address_is_followed(
    peers: Peers, scripted: ServiceProcess, bad_path: Any
) -> None:
    peer = peers()
    await peer.call(scripted, "plain", relay=bad_path)
    await peer.event("session.created")
    await bad_path.rebind()
    peer.send({"type": "response.create"})
    await peer.event("output_audio_buffer.stopped")
    before = len(peer.levels_dbfs)
    await peer.until(lambda: len(peer.levels_dbfs) > before + 50)


async def test_a_cut_network_is_noticed_within_seconds(peers: Peers, scripted: ServiceProcess, bad_path: Any) -> None:
    peer = peers()
    await peer.call(scripted, "plain", relay=bad_path)
    await peer.event("session.created")
    bad_path.is_cut = True
    url = f"{scripted.http_url}/v1/realtime?call_id={peer.call_id}"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as sideband, asyncio.timeout(14):
        while (await sideband.receive()).type is aiohttp.WSMsgType.TEXT:
            pass


def test_voice_talk_calls_by_webrtc(
    scripted: ServiceProcess, recorded: Callable[[str], Recording], tmp_path: Path
) -> None:
    question = str(tmp_path / "question.wav")
    with wave.open(question, "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(recorded("goforward").pcm)
    code = "import sys; from voice.cli import main; sys.exit(main())"
    arguments = ["talk", question, "--url", scripted.url, "--model", "plain", "--webrtc", "--json"]
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert "Good evening and welcome." in run.stdout
