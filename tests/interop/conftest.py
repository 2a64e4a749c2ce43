"""The whole service as a child process, real clients, speech, and the contract's oracle."""

import asyncio
import base64
import importlib.util
import json
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import realtime_client_event
from pydantic import TypeAdapter, ValidationError

from voice.errors import ModelError
from voice.talk.microphone import Microphone
from voice.talk.recording import Recording, load
from voice.talk.service import ServiceProcess
from voice.upstream.faults import Fault, FaultyUpstream

SHARED = Path(__file__).parents[3] / "shared"
DATA = Path(__file__).parents[1] / "data" / "interop"
NODE = Path(__file__).parent / "node"

Frame = dict[str, Any]


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """The conformance oracle of the contract, which lies beside the repository."""
    path = SHARED / "contract" / "oracle.py"
    if not path.is_file():
        pytest.skip(f"the contract's oracle is not at {path}")
    spec = importlib.util.spec_from_file_location("oracle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def has_node() -> bool:
    """Whether the JavaScript clients can be run."""
    return shutil.which("node") is not None and (NODE / "node_modules" / ".package-lock.json").is_file()


@pytest.fixture(scope="session")
def node(has_node: bool) -> Path:
    """The folder of the JavaScript clients, with their packages."""
    if not has_node:
        pytest.skip("node or the JavaScript clients are not installed: `make peers` tells")
    return NODE


@pytest.fixture(scope="session")
def untyped(node: Path) -> Iterator[Callable[[list[Frame]], list[Frame]]]:
    """Return the frames that agents-js's parser models by their type and yet takes as generic (contract 7.3)."""
    command = ["node", str(node / "typed.mjs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parser:
        assert parser.stdin is not None
        assert parser.stdout is not None
        to_parser, from_parser = parser.stdin, parser.stdout

        def check(frames: list[Frame]) -> list[Frame]:
            to_parser.write(json.dumps(frames) + "\n")
            to_parser.flush()
            found: list[Frame] = json.loads(from_parser.readline())
            return found

        yield check
        to_parser.close()


@pytest.fixture(scope="session")
def violations(
    oracle: ModuleType, has_node: bool, request: pytest.FixtureRequest
) -> Callable[[list[Frame]], list[str]]:
    """Return what the oracle, and the parser of agents-js where it is installed, hold against a session's frames."""
    untyped = request.getfixturevalue("untyped") if has_node else lambda _: []

    def check(frames: list[Frame]) -> list[str]:
        checker = oracle.Checker()
        for frame in frames:
            checker.feed(frame)
        checker.end()
        return [*checker.errs, *(f"agents-js takes it as generic: {frame}" for frame in untyped(frames))]

    return check


@pytest.fixture(scope="session")
def unofficial() -> Callable[[FaultyUpstream], list[str]]:
    """Return what of all that was sent through a proxy is no client event of the official SDK."""
    checker: TypeAdapter[Any] = TypeAdapter(realtime_client_event.RealtimeClientEvent)

    def find(proxy: FaultyUpstream) -> list[str]:
        found = []
        for message in (message for passage in proxy.passages for message in passage.to_upstream):
            try:
                checker.validate_json(message)
            except ValidationError as error:
                found.append(f"{message[:200]}: {error}")
        return found

    return find


@pytest.fixture
def stand_before(unofficial: Callable[[FaultyUpstream], list[str]]) -> Iterator[Callable[..., FaultyUpstream]]:
    """Return a function that makes a proxy before an upstream. Whatever passes it has to be official client events."""
    made: list[FaultyUpstream] = []

    def make(target: str, faults: Sequence[Fault] = (), **options: Any) -> FaultyUpstream:
        made.append(FaultyUpstream(target, faults, keeps=True, **options))
        return made[-1]

    yield make
    assert [problem for proxy in made for problem in unofficial(proxy)] == []


@pytest.fixture(scope="session")
def say() -> Callable[[str], Recording]:
    """Speech by the embedded voice."""
    if importlib.util.find_spec("hibari") is None:
        pytest.skip("the embedded voice is not installed (hibari-tts)")
    from bench.harness import say as speak

    return speak


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], Recording]:
    """A person's speech from the shared recordings."""

    def find(name: str) -> Recording:
        path = SHARED / "audio" / f"{name}.wav"
        if not path.is_file():
            pytest.skip(f"there is no recorded speech at {path}")
        return load(path)

    return find


@pytest.fixture(scope="session")
def scripted() -> Iterator[ServiceProcess]:
    """The service with scripted agents (tests/data/interop)."""
    with ServiceProcess("--config", str(DATA / "config.yaml"), ready_timeout_s=30) as service:
        yield service


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on this machine, which makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command = ["openssl", "req", "-x509", *kind, *name, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return certificate, key


@pytest.fixture(scope="session")
def secured(certificate: tuple[Path, Path]) -> Iterator[ServiceProcess]:
    """The scripted service behind TLS and a key; it lets clients of the beta in, which nobody else is to notice."""
    keys = {"VOICE__SERVER__KEYS": '["right-key"]', "VOICE__SERVER__BETA_CLIENTS": "translate"}
    config = str(DATA / "config.yaml")
    with ServiceProcess("--config", config, environment=keys, tls=certificate, ready_timeout_s=30) as service:
        yield service


@pytest.fixture(scope="session")
def cascade() -> Iterator[ServiceProcess]:
    """The service with the embedded models; skipped where their weights are not on this machine."""
    from voice.models import manifest

    try:
        for name in ("silero-vad", "moonshine-tiny-en", "qwen2.5-coder-0.5b", "hibari"):
            manifest.find(name)
    except ModelError as error:
        pytest.skip(f"the embedded models are not here: {error}")
    with ServiceProcess("--config", str(DATA / "cascade.yaml"), ready_timeout_s=60) as service:
        yield service


class OfficialClient:
    """A conversation through the official client: a microphone that never stops, and every raw frame kept."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        """`run` reads; a test sends through `connection` and waits."""
        self.connection = connection
        self.frames: list[Frame] = []
        self.microphone = Microphone(self._append)
        self.spoken = bytearray()
        """Everything that the microphone has sent."""
        self.tools: dict[str, Callable[[Frame], str]] = {}
        """The client's own tools, by name: arguments to output."""
        self._changed = asyncio.Event()

    async def _append(self, audio: bytes) -> None:
        self.spoken += audio
        await self.connection.input_audio_buffer.append(audio=base64.b64encode(audio).decode())

    async def read(self) -> None:
        """Collect frames and answer the client's own tool calls, as an application would."""
        while True:
            raw = await self.connection.recv_bytes()
            frame = json.loads(raw)
            event = self.connection.parse_event(raw)
            assert event.type == frame["type"]
            self.frames.append(frame)
            self._changed.set()
            if frame["type"] == "response.done":
                await self._answer_calls(frame["response"]["output"])

    async def _answer_calls(self, output: list[Frame]) -> None:
        calls = [item for item in output if item["type"] == "function_call"]
        for item in calls:
            result = self.tools[item["name"]](json.loads(item["arguments"]))
            answer: Any = {"type": "function_call_output", "call_id": item["call_id"], "output": result}
            await self.connection.conversation.item.create(item=answer)
        if calls:
            await self.connection.response.create()

    async def wait(self, condition: Callable[[list[Frame]], Any], timeout_s: float = 30) -> Any:
        """Return the first true result of `condition` over all frames so far."""
        async with asyncio.timeout(timeout_s):
            while not (found := condition(self.frames)):
                self._changed.clear()
                await self._changed.wait()
        return found

    async def say(self, recording: Recording) -> None:
        """Speak a recording at its pace."""
        await self.microphone.say(recording).spoken.wait()

    async def ask(self, recording: Recording, timeout_s: float = 40) -> list[Frame]:
        """Speak, and wait until an answer without a tool call is complete; return the frames of this turn."""
        start = len(self.frames)
        await self.say(recording)
        await self.wait(lambda frames: _answered(frames[start:]), timeout_s)
        return self.frames[start:]


def _answered(frames: list[Frame]) -> bool:
    done = [frame["response"] for frame in frames if frame["type"] == "response.done"]
    made = sum(frame["type"] == "response.created" for frame in frames)
    calls = ("function_call", "mcp_call")
    return bool(done) and made == len(done) and not any(item["type"] in calls for item in done[-1].get("output") or [])


Conversation = Callable[[OfficialClient], Coroutine[Any, Any, None]]
Hold = Callable[[ServiceProcess, str, Conversation], Awaitable[list[Frame]]]


@pytest.fixture(scope="session")
def hold() -> Hold:
    """Hold a conversation with a model of a service through the official client, or that of the beta.

    Returns every frame.
    """

    async def run(
        service: ServiceProcess, model: str, conversation: Conversation, *, beta: bool = False
    ) -> list[Frame]:
        openai = AsyncOpenAI(
            api_key="none",
            base_url=f"{service.http_url}/v1",
            websocket_base_url=f"ws://{service.host}:{service.port}/v1",
        )
        connecting: Any = openai.beta.realtime.connect(model=model) if beta else openai.realtime.connect(model=model)
        async with openai, connecting as connection:
            client = OfficialClient(connection)
            tasks = [asyncio.create_task(client.read()), asyncio.create_task(client.microphone.run())]
            talking = asyncio.create_task(conversation(client))
            done, _ = await asyncio.wait([*tasks, talking], return_when=asyncio.FIRST_COMPLETED)
            for task in (*tasks, talking):
                task.cancel()
            await asyncio.gather(*tasks, talking, return_exceptions=True)
            for task in done:
                if task is talking or not task.cancelled():
                    task.result()
            return client.frames

    return run


@pytest.fixture(scope="session")
def keyed() -> Iterator[ServiceProcess]:
    """The scripted service behind keys of two callers."""
    keys = {"VOICE__SERVER__KEYS": '["right-key", "other-key"]'}
    with ServiceProcess("--config", str(DATA / "config.yaml"), environment=keys, ready_timeout_s=30) as service:
        yield service
