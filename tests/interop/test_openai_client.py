"""The official client holds spoken conversations at the pace of speech; the oracle reads every frame of them."""

from collections.abc import Callable
from typing import Any

from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess

Say = Callable[[str], Recording]

TRANSCRIBED = "conversation.item.input_audio_transcription.completed"

WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Name of the city."}},
        "required": ["city"],
    },
}

IN_ORDER = (
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.done",
)
"""Of a spoken turn (contract 4.6)."""


async def configure(client: Any, **session: Any) -> None:
    heard = {"transcription": {"model": "gpt-4o-mini-transcribe"}}
    await client.connection.session.update(session={"type": "realtime", "audio": {"input": heard}, **session})
    await client.wait(lambda frames: any(frame["type"] == "session.updated" for frame in frames))


def words(frames: list[dict[str, Any]]) -> str:
    return " ".join(frame["transcript"] for frame in frames if frame["type"] == "response.output_audio_transcript.done")


def assert_spoken_in_order(turn: list[dict[str, Any]]) -> None:
    kinds = [frame["type"] for frame in turn]
    places = [kinds.index(kind) for kind in IN_ORDER]
    assert places == sorted(places), kinds


async def test_three_spoken_turns_with_a_tool_of_the_clients_own(
    scripted: ServiceProcess, hold: Any, say: Say, recorded: Any, violations: Any
) -> None:
    asked: list[str] = []
    turns: list[list[dict[str, Any]]] = []

    def weather(arguments: dict[str, Any]) -> str:
        asked.append(arguments["city"])
        return "sunny, 21 degrees"

    async def conversation(client: Any) -> None:
        client.tools["get_weather"] = weather
        await configure(client, tools=[WEATHER], instructions="Be brief.")
        turns.append(await client.ask(recorded("cards_001")))
        turns.append(await client.ask(say("What is the weather in Paris?")))
        turns.append(await client.ask(recorded("spk1_snt4")))
        await client.wait(lambda frames: sum(frame["type"] == TRANSCRIBED for frame in frames) == 3)

    frames = await hold(scripted, "client-tool", conversation)
    assert violations(frames) == []
    assert asked == ["Paris"]
    assert [bool(words(turn)) for turn in turns] == [True, True, True]
    assert "sunny" in words(turns[1])
    assert_spoken_in_order(turns[0])
    assert_spoken_in_order(turns[2])
    heard = [f for f in frames if f["type"] == TRANSCRIBED]
    assert len(heard) == 3


async def test_an_agents_own_tool_is_an_mcp_call_and_the_service_goes_on_by_itself(
    scripted: ServiceProcess, hold: Any, say: Say, violations: Any
) -> None:
    turns: list[list[dict[str, Any]]] = []

    async def conversation(client: Any) -> None:
        await configure(client)
        turns.append(await client.ask(say("Please look up the opening hours for Friday.")))

    frames = await hold(scripted, "service-tool", conversation)
    assert violations(frames) == []
    kinds = [frame["type"] for frame in turns[0]]
    assert "response.mcp_call.completed" in kinds
    assert not any(kind.startswith("response.function_call") for kind in kinds)
    call = next(
        f["item"] for f in turns[0] if f["type"] == "response.output_item.done" and f["item"]["type"] == "mcp_call"
    )
    assert call["name"] == "opening_hours"
    assert "five to eleven" in call["output"]
    assert kinds.count("response.created") == 2
    assert "eleven" in words(turns[0])


async def test_talking_over_an_answer_cuts_it(scripted: ServiceProcess, hold: Any, say: Say, violations: Any) -> None:
    async def conversation(client: Any) -> None:
        await configure(client)
        await client.say(say("Tell me a long story."))
        delta = await client.wait(
            lambda frames: [f for f in frames if f["type"] == "response.output_audio.delta"][30:31]
        )
        await client.say(say("Stop, please."))
        await client.connection.conversation.item.truncate(
            item_id=delta[0]["item_id"], content_index=0, audio_end_ms=500
        )
        await client.wait(lambda frames: any(f["type"] == "conversation.item.truncated" for f in frames))
        await client.wait(lambda frames: sum(f["type"] == "response.done" for f in frames) >= 2)

    frames = await hold(scripted, "long-answer", conversation)
    assert violations(frames) == []
    done = next(frame["response"] for frame in frames if frame["type"] == "response.done")
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
    started = [n for n, f in enumerate(frames) if f["type"] == "input_audio_buffer.speech_started"][1]
    late = [
        f for f in frames[started:] if f["type"] == "response.output_audio.delta" and f["response_id"] == done["id"]
    ]
    assert late == []


async def test_three_spoken_turns_with_the_embedded_models(
    cascade: ServiceProcess, hold: Any, say: Say, violations: Any
) -> None:
    turns: list[list[dict[str, Any]]] = []
    asked: list[str] = []

    def weather(arguments: dict[str, Any]) -> str:
        asked.append(str(arguments.get("city")))
        return "sunny, 21 degrees"

    async def conversation(client: Any) -> None:
        client.tools["get_weather"] = weather
        await configure(client, tools=[WEATHER], instructions="You are a friendly assistant. Answer in one sentence.")
        turns.append(await client.ask(say("What is the weather in Paris?")))
        turns.append(await client.ask(say("Thank you very much.")))
        turns.append(await client.ask(say("Goodbye.")))

    frames = await hold(cascade, "gpt-realtime", conversation)
    assert violations(frames) == []
    assert asked == ["Paris"]
    assert all(words(turn) for turn in turns)
    for turn in turns[1:]:
        assert_spoken_in_order(turn)


async def test_an_agent_with_the_embedded_models_uses_its_own_tool(
    cascade: ServiceProcess, hold: Any, say: Say, violations: Any
) -> None:
    turns: list[list[dict[str, Any]]] = []

    async def conversation(client: Any) -> None:
        await configure(client)
        turns.append(await client.ask(say("When are you open on Friday?")))

    frames = await hold(cascade, "receptionist", conversation)
    assert violations(frames) == []
    kinds = [frame["type"] for frame in turns[0]]
    assert "response.mcp_call.completed" in kinds
    assert words(turns[0])
