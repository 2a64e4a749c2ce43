"""Clients of the beta where the operator lets them in, and the old REST calls both ways."""

from typing import Any

import pytest

from tests.transports.http.webrtc_calls import LOOPBACK, SETTINGS, call, next_event, offer
from transports.http.client_secrets import PREFIX
from transports.port import Transport
from transports.webrtc import description
from transports.webrtc.dtls import CertificateStore
from transports.webrtc.network import Network
from transports.webrtc.peer import Peer
from voice.audio.frames import AudioFrame
from voice.protocol.client_events import InputAudioBufferAppend, SessionUpdate
from voice.protocol.server_events import ResponseOutputAudioTranscriptDone, SessionCreated
from voice.protocol.session_config import SessionConfig
from voice.session.effects import PlayAudio

PART: dict[str, Any] = {
    **{"event_id": "event_2", "response_id": "resp_1", "item_id": "item_1"},
    **{"output_index": 0, "content_index": 0},
}
HEADER = {"OpenAI-Beta": "realtime=v1"}
ROUTES = ("/v1/realtime/sessions", "/v1/realtime/transcription_sessions")


@pytest.fixture
async def friendly(start: Any) -> Any:
    return await start(translates_beta=True)


@pytest.mark.parametrize(
    "how", [{"headers": HEADER}, {"protocols": ["realtime", "openai-beta.realtime-v1"]}], ids=["header", "subprotocol"]
)
async def test_a_session_speaks_the_words_of_its_client(friendly: Any, how: dict[str, Any]) -> None:
    heard: list[Any] = []

    async def talk(transport: Transport) -> None:
        config = SessionConfig(id="sess_1", model="receptionist", expires_at=1)
        transport.send_event(SessionCreated(event_id="event_1", session=config.to_wire()))
        frame = AudioFrame(pcm=b"\0\0" * 240, rate_hz=24_000, pts=0)
        transport.play_audio(PlayAudio("resp_1", "item_1", 0, 0, frame, "audio/pcm"))
        async for event in transport.client_events():
            heard.append(event)
            if len(heard) == 2:
                return

    friendly.sessions.talk = talk
    async with friendly.client.ws_connect("/v1/realtime?model=receptionist", **how) as socket:
        created, begun, delta = [await socket.receive_json(timeout=5) for _ in range(3)]
        await socket.send_json({"type": "session.update", "session": {"voice": "verse", "temperature": 0.7}})
        await socket.send_json({"type": "input_audio_buffer.append", "audio": "AAAA"})
    await friendly.ended()
    assert created["session"]["modalities"] == ["audio", "text"]
    assert (begun["type"], delta["type"]) == ("conversation.created", "response.audio.delta")
    assert [type(event) for event in heard] == [SessionUpdate, InputAudioBufferAppend]


async def test_everyone_else_hears_the_contract_there_too(friendly: Any) -> None:
    async def talk(transport: Transport) -> None:
        config = SessionConfig(id="sess_1", model="receptionist", expires_at=1)
        transport.send_event(SessionCreated(event_id="event_1", session=config.to_wire()))

    friendly.sessions.talk = talk
    async with friendly.client.ws_connect("/v1/realtime?model=receptionist") as socket:
        created = await socket.receive_json(timeout=5)
    assert created["session"]["output_modalities"] == ["audio"]


@pytest.mark.parametrize(("path", "kind"), list(zip(ROUTES, ("realtime", "transcription"), strict=True)))
async def test_an_old_rest_call_makes_a_secret_that_opens_such_a_session(friendly: Any, path: str, kind: str) -> None:
    body = {"input_audio_format": "g711_ulaw", "turn_detection": {"type": "server_vad", "threshold": 0.3}}
    friendly.sessions.preview = lambda agent, opening: SessionConfig(
        id="sess_0", model=agent.name, expires_at=0, type=opening.type
    ).to_wire()
    async with friendly.client.post(path, json=body) as answer:
        assert answer.status == 200
        shown = await answer.json()
    secret = shown["client_secret"]
    assert secret["value"].startswith(PREFIX)
    assert shown["object"] == ("realtime.session" if kind == "realtime" else "realtime.transcription_session")
    headers = {"Authorization": f"Bearer {secret['value']}"}  # it is the secret that tells
    async with friendly.client.ws_connect("/v1/realtime", headers=headers) as socket:
        await socket.receive(timeout=5)
    (opening,) = friendly.sessions.openings
    assert (opening.type, opening.audio.input.format.type) == (kind, "audio/pcmu")


async def test_such_a_secret_marks_a_call_of_a_browser(start: Any) -> None:
    friendly = await start(translates_beta=True, webrtc=SETTINGS)

    async def talk(transport: Transport) -> None:
        config = SessionConfig(id="sess_1", model="receptionist", expires_at=1)
        transport.send_event(SessionCreated(event_id="event_1", session=config.to_wire()))
        async for event in transport.client_events():
            assert isinstance(event, SessionUpdate)
            transport.send_event(ResponseOutputAudioTranscriptDone(**PART, transcript="Hello."))

    friendly.sessions.talk = talk
    async with friendly.client.post(ROUTES[0], json={}) as answer:
        secret = (await answer.json())["client_secret"]["value"]
    async with call(friendly, key=secret) as (peer, messages, _):
        assert [(await next_event(messages))["type"] for _ in range(2)] == ["session.created", "conversation.created"]
        assert peer.channel is not None
        peer.channel.send('{"type":"session.update","session":{"voice":"verse"}}')
        assert (await next_event(messages))["type"] == "response.audio_transcript.done"


async def test_the_header_marks_a_call_too(start: Any) -> None:
    friendly = await start(translates_beta=True, webrtc=SETTINGS)

    async def talk(transport: Transport) -> None:
        config = SessionConfig(id="sess_1", model="receptionist", expires_at=1)
        transport.send_event(SessionCreated(event_id="event_1", session=config.to_wire()))
        await anext(aiter(transport.client_events()))

    friendly.sessions.talk = talk
    peer = Peer(Network(LOOPBACK), CertificateStore(), None, is_controlling=True)
    headers = {**HEADER, "Content-Type": "application/sdp"}
    async with friendly.client.post("/v1/realtime", data=await peer.offer(), headers=headers) as answer:
        assert answer.status == 201
        peer.accept(description.read(await answer.text()))
    assert peer.channel is not None
    peer.channel.open()
    try:
        await peer.connect()
        created = await next_event(peer.channel.messages())
    finally:
        await peer.aclose()
    assert created["session"]["modalities"] == ["audio", "text"]


@pytest.mark.parametrize("path", ["/v1/realtime?model=receptionist", "/v1/realtime/calls"])
async def test_a_call_with_the_header_is_told_what_to_change(start: Any, path: str) -> None:
    service = await start(webrtc=SETTINGS)
    headers = {**HEADER, "Content-Type": "application/sdp"}
    async with service.client.post(path, data=await offer(), headers=headers) as answer:
        assert answer.status == 400
        error = (await answer.json())["error"]
    assert error["code"] == "beta_api_shape_disabled"
    assert "OpenAI-Beta" in error["message"]
    assert service.sessions.admitted == []


async def test_a_bad_body_is_refused_in_its_own_words(friendly: Any) -> None:
    async with friendly.client.post(ROUTES[0], json={"input_audio_format": "mp3"}) as answer:
        assert answer.status == 400
        error = (await answer.json())["error"]
    assert error["param"] == "input_audio_format"
    assert "'pcm16'" in error["message"]


@pytest.mark.parametrize("path", ROUTES)
async def test_the_old_rest_calls_name_the_new_one(service: Any, path: str) -> None:
    async with service.client.post(path, json={}) as answer:
        assert answer.status == 404
        error = (await answer.json())["error"]
    assert error["code"] == "beta_api_shape_disabled"
    assert "POST /v1/realtime/client_secrets" in error["message"]


async def test_the_old_rest_calls_need_a_key(locked: Any) -> None:
    async with locked.client.post(ROUTES[0], json={}) as answer:
        assert answer.status == 401
