"""The example pages, as visitors of a site see them."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import expect

from bench.chromium import loudness, read_tape, write_microphone
from tests.interop.browser.conftest import WAIT_MS, Visit
from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess, free_port

ROOT = Path(__file__).parents[3]


@contextmanager
def site(folder: Path, service: ServiceProcess, **environment: str) -> Iterator[str]:
    """Run the site of the examples as its README says; yield its URL."""
    port = free_port()
    settings = {"VOICE_URL": service.http_url, "PORT": str(port), **environment}
    command = [sys.executable, "-m", "examples.web_page.site", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def question(say: Callable[[str], Recording], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A microphone that says something twice."""
    path = tmp_path_factory.mktemp("question") / "talk.wav"
    return write_microphone(path, 2.5, say("Ten of clubs."), 4.0, say("What is the weather in Paris?"), 60.0)


async def test_thirty_lines_of_page_talk(visit: Visit, keyed: ServiceProcess, question: Path) -> None:
    page = (ROOT / "examples/web_page/index.html").read_text().splitlines()
    assert len(page) <= 35
    visitor = await visit(question, recorded=True)
    with site(ROOT / "examples/web_page", keyed, VOICE_KEY="right-key", VOICE_MODEL="plain") as url:
        await visitor.page.goto(url)
        await visitor.page.get_by_role("button", name="Talk to us").click()
        await expect(visitor.page.get_by_role("log")).to_contain_text("Good evening and welcome.", timeout=WAIT_MS)
        await visitor.page.wait_for_function(
            "recorder.events.some(({event}) => event.type === 'output_audio_buffer.stopped')"
        )
        tape = await read_tape(visitor.page)
    started_s = tape.of("output_audio_buffer.started")[0][0]
    stopped_s = tape.of("output_audio_buffer.stopped")[0][0]
    assert np.median(loudness(tape.agent[int(started_s * 24_000) : int(stopped_s * 24_000)])) > 0.01


@pytest.fixture(scope="session")
def bundled(node: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the SDK, bundled as its `npm run build` does, with the packages of the other interop tests."""
    folder = tmp_path_factory.mktemp("agents_js")
    source = ROOT / "examples/agents_js"
    shutil.copy(source / "index.html", folder)
    esbuild = node / "node_modules/.bin/esbuild"
    command = [str(esbuild), str(source / "talk.js"), "--bundle", "--format=esm", f"--outfile={folder / 'bundle.js'}"]
    subprocess.run(
        [*command, "--log-level=warning"], check=True, env={**os.environ, "NODE_PATH": str(node / "node_modules")}
    )
    return folder


async def test_agents_js_talks_calls_its_tool_and_stops_an_answer(
    visit: Visit, scripted: ServiceProcess, question: Path, bundled: Path
) -> None:
    visitor = await visit(question, recorded=True)
    page = visitor.page
    with site(bundled, scripted, VOICE_MODEL="client-tool") as url:
        await page.goto(url)
        await page.get_by_role("button", name="Talk").click()
        await expect(page.get_by_role("status")).to_have_text("Speak", timeout=WAIT_MS)
        await expect(page.locator("li.assistant").first).to_have_text("You said: ten of clubs.", timeout=WAIT_MS)
        await expect(page.locator("li.function_call")).to_contain_text("sunny, 21 degrees (Paris)", timeout=WAIT_MS)
        await expect(page.locator("li.assistant").nth(1)).to_contain_text("In Paris it is sunny", timeout=WAIT_MS)
        await page.get_by_role("button", name="Stop").click()
        await page.wait_for_function(
            "recorder.events.some(({event}) => ['output_audio_buffer.cleared', 'conversation.item.truncated']"
            ".includes(event.type))",
            timeout=WAIT_MS,
        )


async def test_talking_over_an_answer_of_agents_js_stops_it(
    visit: Visit, scripted: ServiceProcess, microphone: Path, bundled: Path
) -> None:
    visitor = await visit(microphone, recorded=True)
    page = visitor.page
    with site(bundled, scripted, VOICE_MODEL="long-answer") as url:
        await page.goto(url)
        await page.get_by_role("button", name="Talk").click()
        await expect(page.get_by_role("status")).to_have_text("Speak", timeout=WAIT_MS)
        await expect(page.locator("li.assistant", has_text="All right.")).to_be_visible(timeout=WAIT_MS)
        tape = await read_tape(page)
        assert await page.get_by_role("status").inner_text() == "Speak"  # no error came
    started_s, started = tape.of("output_audio_buffer.started")[0]
    cleared_s, cleared = tape.of("output_audio_buffer.cleared")[0]
    assert cleared["response_id"] == started["response_id"]
    (_, truncated), *_ = tape.of("conversation.item.truncated")
    assert 1000 < truncated["audio_end_ms"] < 1000 * (cleared_s - started_s) + 500
    assert not tape.of("error")
