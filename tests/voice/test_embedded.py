"""Until the models are there, one sentence says why; when they come, nothing need be restarted."""

import asyncio
from collections.abc import Callable

import pytest

import voice.embedded
from voice.embedded import EmbeddedModels
from voice.errors import EngineUnavailable, ModelMissing
from voice.models.settings import HostSettings

MISSING = ModelMissing("The model m is not on this machine.", model="m", command="voice models fetch m")


class FakeHost:
    """Starts as often as `failures` says with an error first."""

    failures: list[Exception]
    made: list["FakeHost"]

    def __init__(self, settings: HostSettings) -> None:
        self.ready = False
        self.closed = False
        FakeHost.made.append(self)
        self.done: list[str] = []

    async def start(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.ready = True

    async def prefill(self, session: str, prompt: str) -> None:
        if prompt == "too long":
            raise EngineUnavailable("no room")
        if prompt == "endless":
            await asyncio.Event().wait()
        self.done.append(prompt)

    def release(self, session: str) -> None:
        self.done.append("released")

    async def keep_prompts(self) -> None:
        if self.done[0] == "disk full":
            raise OSError(28, "No space left on device")
        self.done.append("kept")

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Callable[..., EmbeddedModels]:
    def make(*failures: Exception) -> EmbeddedModels:
        FakeHost.failures, FakeHost.made = list(failures), []
        return EmbeddedModels(HostSettings())

    monkeypatch.setattr(voice.embedded, "ModelHost", FakeHost)
    monkeypatch.setattr(voice.embedded, "LOOK_AGAIN_S", (0.0,))
    return make


def test_before_loading_a_session_is_refused_with_a_sentence(models: Callable[..., EmbeddedModels]) -> None:
    embedded = models()
    assert embedded.obstacle == "The models are still being loaded."
    with pytest.raises(EngineUnavailable, match="still being loaded"):
        embedded.require()


async def test_once_loaded_nothing_stands_in_the_way(models: Callable[..., EmbeddedModels]) -> None:
    embedded = models()
    await embedded.load()
    assert embedded.obstacle is None
    assert isinstance(embedded.require(), FakeHost)


async def test_models_that_are_fetched_later_are_picked_up(models: Callable[..., EmbeddedModels]) -> None:
    embedded = models(MISSING, MISSING, EngineUnavailable("no luck"))
    await embedded.load()
    assert embedded.obstacle is None
    assert FakeHost.failures == []


async def test_a_missing_model_is_named_with_the_command_that_helps(
    models: Callable[..., EmbeddedModels], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = models(MISSING)
    seen: list[str | None] = []

    async def look(_seconds: float) -> None:
        seen.append(embedded.obstacle)

    monkeypatch.setattr("asyncio.sleep", look)
    await embedded.load()
    assert seen == ["The model m is not on this machine. Type: voice models fetch m"]


async def test_a_host_that_is_being_started_again_refuses_new_sessions_and_keeps_the_old(
    models: Callable[..., EmbeddedModels],
) -> None:
    embedded = models()
    await embedded.load()
    host = embedded.require()
    vars(host)["ready"] = False
    assert embedded.obstacle == "The models are being started again."
    assert embedded.require() is host


async def test_closing_ends_the_host_and_is_safe_without_one(models: Callable[..., EmbeddedModels]) -> None:
    embedded = models()
    await embedded.aclose()
    await embedded.load()
    host = embedded.require()
    await embedded.aclose()
    assert vars(host)["closed"]


async def test_what_sessions_begin_with_is_in_the_cache_before_anybody_calls(
    models: Callable[..., EmbeddedModels],
) -> None:
    embedded = models()
    embedded.prompts = ["one", "two", "one"]
    await embedded.load()
    host = embedded.require()
    assert isinstance(host, FakeHost)
    assert host.done == ["one", "two", "released", "kept"]


async def test_a_host_that_does_not_start_is_left_nowhere(models: Callable[..., EmbeddedModels]) -> None:
    await models(MISSING, MISSING).load()
    assert [host.closed for host in FakeHost.made] == [True, True, False]


async def test_a_prompt_that_cannot_be_warmed_costs_nobody_the_service(models: Callable[..., EmbeddedModels]) -> None:
    embedded = models()
    embedded.prompts = ["too long"]
    await embedded.load()
    assert embedded.obstacle is None
    assert len(FakeHost.made) == 1


async def test_prompts_that_cannot_be_kept_cost_nobody_the_service(models: Callable[..., EmbeddedModels]) -> None:
    embedded = models()
    embedded.prompts = ["disk full"]
    await embedded.load()
    assert embedded.obstacle is None
    assert [host.closed for host in FakeHost.made] == [False]


async def test_giving_up_while_prompts_are_warmed_leaves_no_host(models: Callable[..., EmbeddedModels]) -> None:
    embedded = models()
    embedded.prompts = ["endless"]
    loading = asyncio.create_task(embedded.load())
    for _ in range(5):
        await asyncio.sleep(0)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert [host.closed for host in FakeHost.made] == [True]


async def test_a_machine_without_room_is_tried_again(models: Callable[..., EmbeddedModels]) -> None:
    embedded = models(OSError(28, "No space left on device"))
    await embedded.load()
    assert embedded.obstacle is None
    assert [host.closed for host in FakeHost.made] == [True, False]
