"""An upstream is tried out: what is wrong is one sentence with its cause, and what is right is closed at once."""

import errno
import socket

import pytest
from structlog.testing import capture_logs

from voice import engine_sources
from voice.config import Config
from voice.engine_sources import try_upstreams
from voice.errors import EngineError, EngineRefused, EngineUnavailable
from voice.upstream import trial
from voice.upstream.options import UpstreamOptions
from voice.upstream.trial import find_obstacle, shown_address


class Door:
    """Stands for a connection; what it raises when it is opened is up to the test."""

    failure: tuple[EngineError, BaseException | None] | None = None
    seen: list[str]

    def __init__(self, _options: UpstreamOptions) -> None:
        Door.seen = []
        self.request_id = ""

    async def open(self, *, is_trial: bool) -> None:
        assert is_trial
        assert self.request_id.startswith("trial_")
        self.seen.append("open")
        if self.failure is not None:
            raise self.failure[0] from self.failure[1]

    async def aclose(self) -> None:
        self.seen.append("closed")


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> type[Door]:
    monkeypatch.setattr(trial, "Connection", Door)
    monkeypatch.setattr(Door, "failure", None)
    return Door


async def test_an_upstream_that_opens_a_session_is_left_at_once(door: type[Door]) -> None:
    assert await find_obstacle(UpstreamOptions("ws://there/v1")) is None
    assert door.seen == ["open", "closed"]


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ((EngineUnavailable("Cannot be reached."), ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed")),
         "Cannot be reached: Connection refused"),
        ((EngineUnavailable("Cannot be reached."), socket.gaierror(socket.EAI_NONAME, "Name not known")),
         "Cannot be reached: the name does not resolve (Name not known)"),
        ((EngineUnavailable("No answer in time."), TimeoutError()), "No answer in time."),
        ((EngineRefused("Refused (401)."), None), "Refused (401)."),
    ],
)  # fmt: skip
async def test_what_stands_in_the_way_is_said_with_its_cause(
    door: type[Door], monkeypatch: pytest.MonkeyPatch, failure: tuple[EngineError, BaseException | None], words: str
) -> None:
    monkeypatch.setattr(door, "failure", failure)
    assert await find_obstacle(UpstreamOptions("ws://there/v1")) == words
    assert door.seen[-1] == "closed"


def test_an_address_is_shown_without_its_secrets() -> None:
    assert shown_address("wss://user:pass@host:81/v1/realtime?api-key=x") == "wss://host:81/v1/realtime"


async def test_of_upstreams_in_use_those_that_serve_no_session_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def judge(options: UpstreamOptions) -> str | None:
        return "Nobody is there." if "bad" in options.url else None

    monkeypatch.setattr(engine_sources, "find_obstacle", judge)
    names = ("good", "bad", "bad-unused")
    engines: dict[str, object] = {name: {"type": "upstream", "url": f"ws://{name}/v1"} for name in names}
    engines["scripted"] = {"type": "scripted"}
    agents = {"a": {"engine": "good"}, "b": {"engine": "bad"}, "c": {"engine": "scripted"}}
    config = Config.model_validate({"engines": engines, "agents": agents, "aliases": {}})
    with capture_logs() as lines:
        await try_upstreams(config)
    assert [(line["log_level"], line["engine"], line["address"], line["cause"]) for line in lines] == [
        ("warning", "bad", "ws://bad/v1", "Nobody is there.")
    ]


async def test_a_fault_of_ours_in_a_trial_ends_only_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    async def judge(_options: UpstreamOptions) -> str | None:
        raise RuntimeError

    monkeypatch.setattr(engine_sources, "find_obstacle", judge)
    config = Config.model_validate(
        {"engines": {"up": {"type": "upstream", "url": "ws://up/v1"}}, "agents": {"a": {"engine": "up"}}, "aliases": {}}
    )
    with capture_logs() as lines:
        await try_upstreams(config)
    assert [line["log_level"] for line in lines] == ["error"]
