"""Records the golden transcripts anew: plays every flow against the service, in this process, and keeps what went in.

    python tests/voice/conformance/record_golden.py [FLOW …]

It takes a minute and the embedded voice. Only flows that hold are written: what is wrong is no gold. Look at the
difference before you commit it: each changed line is something that clients will see.
"""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

from aiohttp import web  # noqa: E402

import transports.webrtc.transport  # noqa: E402
import transports.websocket  # noqa: E402
import voice.manager  # noqa: E402
from voice.app import compose  # noqa: E402
from voice.config_file import load  # noqa: E402
from voice.conformance import golden, mcp_server, types_check  # noqa: E402
from voice.conformance.client import Settings  # noqa: E402
from voice.conformance.command import OWN_CONFIG  # noqa: E402
from voice.conformance.flows import chosen  # noqa: E402
from voice.conformance.play import play  # noqa: E402
from voice.conformance.report import file_name  # noqa: E402
from voice.conformance.speech import find_speech  # noqa: E402
from voice.conformance.target import Target  # noqa: E402
from voice.logs import configure_logs  # noqa: E402
from voice.protocol.client_events import InputAudioBufferAppend  # noqa: E402
from voice.protocol.codec import decode_client_event  # noqa: E402
from voice.session.effects import Effect  # noqa: E402
from voice.session.session import Session  # noqa: E402

FOLDER = ROOT / "tests" / "data" / "conformance"
STEM = "0123456789abcdef"
EXPIRES_AT = 1_800_000_000
LONGEST = 100_000
"""A longer line is no gold."""

texts: dict[int, tuple[Any, str]] = {}
"""The client's frames by the identity of what they were decoded to."""
sessions: list["RecordingSession"] = []


def decode_and_keep(text: str) -> Any:
    event = decode_client_event(text)
    texts[id(event)] = (event, text)
    return event


class RecordingSession(Session):
    """Notes its inputs."""

    def __init__(self, config: Any, traits: Any, ids: Any) -> None:
        config = config.model_copy(update={"expires_at": EXPIRES_AT})
        super().__init__(config, traits, ids)
        self.stem = ids.stem
        self.lines = [golden.header(config, traits, ids.stem)]
        sessions.append(self)

    def start(self, now: float) -> list[Effect]:
        self.lines.append(golden.dump(["start", now]))
        return super().start(now)

    def handle_timer(self, now: float) -> list[Effect]:
        self.lines.append(golden.dump(["timer", now]))
        return super().handle_timer(now)

    def receive_client_event(self, event: Any) -> list[Effect]:
        if isinstance(event, InputAudioBufferAppend) and id(event) not in texts:  # a slice of what the client sent
            self.lines.append(golden.dump(["append", len(event.audio)]))
        else:
            self.lines.append(golden.client_line(texts[id(event)][1]))
        return super().receive_client_event(event)

    def receive_voice_activity(self, probability: float, window_start: int, window_end: int) -> list[Effect]:
        probability = round(float(probability), 3)
        self.lines.append(golden.dump(["voice", probability, window_start, window_end]))
        return super().receive_voice_activity(probability, window_start, window_end)

    def receive_turn_judgement(self, item_id: str, silence_start: int, probability: float) -> list[Effect]:
        probability = round(probability, 3)
        self.lines.append(golden.dump(["judgement", item_id, silence_start, probability]))
        return super().receive_turn_judgement(item_id, silence_start, probability)

    def receive_engine_event(self, response_id: str, event: Any) -> list[Effect]:
        self.lines.append(golden.event_line("engine", response_id, event))
        return super().receive_engine_event(response_id, event)

    def receive_engine_failure(self, response_id: str, error: Any) -> list[Effect]:
        self.lines.append(golden.event_line("engine_failure", response_id, error))
        return super().receive_engine_failure(response_id, error)

    def receive_transcription_event(self, item_id: str, event: Any) -> list[Effect]:
        self.lines.append(golden.event_line("transcription", item_id, event))
        return super().receive_transcription_event(item_id, event)

    def receive_transcription_failure(self, item_id: str, error: Any) -> list[Effect]:
        self.lines.append(golden.event_line("transcription_failure", item_id, error))
        return super().receive_transcription_failure(item_id, error)

    def receive_audio(self, frame: Any) -> list[Effect]:
        self.lines.append(golden.dump(["audio", frame.samples, frame.rate_hz]))
        return super().receive_audio(frame)

    def receive_flushed(self, item_id: str, played_ms: int) -> list[Effect]:
        self.lines.append(golden.dump(["flushed", item_id, played_ms]))
        return super().receive_flushed(item_id, played_ms)

    def receive_drained(self, item_id: str) -> list[Effect]:
        self.lines.append(golden.dump(["drained", item_id]))
        return super().receive_drained(item_id)

    def receive_tool_output(self, call_id: str, result: Any) -> list[Effect]:
        self.lines.append(golden.event_line("tool", call_id, result))
        return super().receive_tool_output(call_id, result)

    def receive_mcp_tools(self, list_id: str, listing: Any) -> list[Effect]:
        self.lines.append(golden.event_line("mcp_tools", list_id, listing))
        return super().receive_mcp_tools(list_id, listing)

    def transcript(self) -> list[str]:
        """Return the whole of it, with ids and addresses that are the same every time."""
        text = "\n".join(self.lines).replace(self.stem, STEM)
        text = re.sub(r"http://127\.0\.0\.1:\d{4,5}/mcp", "http://127.0.0.1:8931/mcp", text)
        return list(golden.replay(text.split("\n")))


async def record(names: list[str]) -> None:
    configure_logs("error", "console")
    runner = web.AppRunner(compose(load(OWN_CONFIG)).application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    types = types_check.load()
    async with mcp_server.serving() as mcp_url:
        settings = Settings(speech=find_speech(None), mcp_url=mcp_url)
        target = Target(f"ws://127.0.0.1:{runner.addresses[0][1]}", settings=settings)
        for flow in chosen(names):
            if not flow.connects:
                continue
            sessions.clear()
            texts.clear()
            result = await play(target, flow, types)
            print(f"{flow.family}: {flow.name}: {result.outcome} {result.reason}")  # noqa: T201
            if result.outcome == "held" and all(len(line) < LONGEST for line in sessions[0].lines):
                lines = sessions[0].transcript()
                (FOLDER / f"{file_name(result)}.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    await runner.cleanup()


if __name__ == "__main__":
    voice.manager.Session = RecordingSession  # type: ignore[attr-defined]
    for module in (transports.websocket, transports.webrtc.transport):
        module.decode_client_event = decode_and_keep  # type: ignore[attr-defined]
    asyncio.run(record(sys.argv[1:]))
