"""The page in Debian's Chromium: a recording is its microphone, and what it plays is recorded."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, ConsoleMessage, Page, expect

from bench.chromium import RECORDER, chromium, find_chromium, write_microphone
from tests.interop.conftest import DATA
from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess

WAIT_MS = 20_000
"""For what takes a moment, on a machine that does much besides."""


class Talker:
    """Somebody at the page. `problems` are what the browser's console complains of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        self.unasked: list[str] = []
        """Complaints that a test expects: parts of their texts."""
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(message.text)

    async def visit(self, url: str, agent: str) -> None:
        """Open the page and choose who answers."""
        await self.page.goto(url)
        await self.page.get_by_label("Who answers").select_option(agent)

    async def talk(self) -> None:
        """Press the button."""
        await self.page.get_by_role("button", name="Start talking").click()

    async def type(self, text: str) -> None:
        """Send a message."""
        await self.page.get_by_label("Message", exact=True).fill(text)
        await self.page.keyboard.press("Enter")

    async def is_told(self, status: str) -> None:
        """Wait for a status."""
        await expect(self.page.get_by_role("status")).to_have_text(status, timeout=WAIT_MS)

    async def sees(self, kind: str, text: str) -> None:
        """Wait for a caption of `caller`, `agent` or `tool`."""
        line = self.page.locator(f".line.{kind}", has_text=text)
        await expect(line.first).to_be_visible(timeout=WAIT_MS)

    async def sees_interrupted(self) -> None:
        """Wait for an answer that was cut."""
        await expect(self.page.locator(".line.agent.interrupted").first).to_be_visible(timeout=WAIT_MS)

    async def event_types(self) -> list[str]:
        """Return the types of the events in the inspector."""
        return await self.page.locator("#events code").all_inner_texts()


Visit = Callable[..., Awaitable[Talker]]


@pytest.fixture(scope="session")
def microphone(say: Callable[[str], Recording], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds to get ready, a question, three seconds of answer, an interruption, silence."""
    path = tmp_path_factory.mktemp("microphone") / "talk.wav"
    return write_microphone(path, 3.0, say("Tell me a long story."), 3.0, say("Stop, please."), 60.0)


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    """Return a function that opens a browser; at the end nobody may have complained in its console."""
    if find_chromium() is None:
        pytest.skip("chromium is not installed")
    talkers: list[Talker] = []
    async with AsyncExitStack() as stack:

        async def open_one(
            microphone: Path | None = None, *, may_listen: bool = True, recorded: bool = False, **context: Any
        ) -> Talker:
            browser = await stack.enter_async_context(chromium(microphone, may_listen=may_listen))
            # The recorder's worklet is a script that the page's policy keeps out, as it should.
            window: BrowserContext = await browser.new_context(bypass_csp=recorded, **context)
            if recorded:
                await window.add_init_script(path=RECORDER)
            talker = Talker(await window.new_page())
            talkers.append(talker)
            return talker

        yield open_one
        for talker in talkers:
            assert [text for text in talker.problems if not any(part in text for part in talker.unasked)] == []


@pytest.fixture
def free_service() -> Callable[..., ServiceProcess]:
    """Return a function that makes a service of one's own, at a port that another had, where one is given."""

    def make(port: int | None = None, **environment: str) -> ServiceProcess:
        again = ("--port", str(port)) if port else ()
        service = ServiceProcess(
            "--config", str(DATA / "config.yaml"), *again, ready_timeout_s=30, environment=environment
        )
        service.port = port or service.port
        service.http_url = f"http://{service.host}:{service.port}"
        return service

    return make
