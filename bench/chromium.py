"""Debian's Chromium without a screen, with a recording as its microphone, driven through Playwright.

Playwright's own browser is never downloaded: `executable_path` names the one that is installed.
"""

import base64
import shutil
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Browser, Page, async_playwright

from voice.audio.frames import CORE_RATE_HZ
from voice.talk.recording import Recording

RECORDER = Path(__file__).with_name("recorder.js")

_SWITCHES = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
)


@dataclass(frozen=True, slots=True)
class Tape:
    """What a page's recorder has (`recorder.js`): both sides at 24 kHz and the events, on one clock."""

    caller: NDArray[np.float64]
    agent: NDArray[np.float64]
    events: list[tuple[float, dict[str, Any]]]

    def of(self, kind: str) -> list[tuple[float, dict[str, Any]]]:
        """Return the events of a type."""
        return [(at_s, event) for at_s, event in self.events if event["type"] == kind]


def find_chromium() -> str | None:
    """Return the path of the browser, None where none is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@asynccontextmanager
async def chromium(microphone: Path | None = None, *, may_listen: bool = True) -> AsyncIterator[Browser]:
    """Start a browser.

    `microphone` is a WAV file that it hears once; None: it has no microphone. Without `may_listen` it is asked for
    leave, and nobody gives it.
    """
    switches = list(_SWITCHES)
    if microphone is not None:
        switches += ["--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}%noloop"]
    if may_listen:
        switches.append("--use-fake-ui-for-media-stream")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=switches)
        try:
            yield browser
        finally:
            await browser.close()


def write_microphone(path: Path, *parts: Recording | float) -> Path:
    """Write what a microphone hears: recordings, and silences in seconds."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, CORE_RATE_HZ, 0, "NONE", ""))
        for part in parts:
            file.writeframes(bytes(2 * int(part * CORE_RATE_HZ)) if isinstance(part, int | float) else part.pcm)
    return path


async def read_tape(page: Page) -> Tape:
    """Return what the page's recorder has so far."""
    read = await page.evaluate("recorder.read()")
    sides = [np.frombuffer(base64.b64decode(read[side]), "<i2") / 2**15 for side in ("caller", "agent")]
    return Tape(sides[0], sides[1], [(each["at_s"], each["event"]) for each in read["events"]])


def loudness(samples: NDArray[np.float64], frame_ms: int = 10) -> NDArray[np.float64]:
    """Return the RMS of each frame."""
    size = CORE_RATE_HZ * frame_ms // 1000
    frames = samples[: samples.size // size * size].reshape(-1, size)
    return np.asarray(np.sqrt(np.square(frames).mean(axis=1)))
