"""A whole call with the embedded models: baresip talks over the greeting with a person's question, and is answered."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.sip_call import GREETING, RATE_HZ, delay_ms, dial, loud, silence, stop_ms
from voice.audio.resample import Resampler
from voice.errors import ModelError
from voice.models import manifest
from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess

from .conftest import free_port, needs


@pytest.fixture
def service(tmp_path: Path):
    try:
        for name in ("silero-vad", "moonshine-tiny-en", "qwen2.5-coder-0.5b", "hibari"):
            manifest.find(name)
    except ModelError as error:
        pytest.skip(f"the embedded models are not here: {error}")
    agent = f'greeting: "{GREETING}", instructions: Answer in one short sentence.'
    config = f"agents:\n  desk: {{{agent}}}\ndefault_agent: desk\nsip: {{enabled: true}}\nlog: {{level: warning}}\n"
    (tmp_path / "config.yaml").write_text(config)
    port = free_port()
    environment = {"VOICE__SIP__PORT": str(port), "VOICE__SIP__RTP__FIRST": "21600", "VOICE__SIP__RTP__LAST": "21699"}
    options = ("--config", str(tmp_path / "config.yaml"))
    with ServiceProcess(*options, environment=environment, ready_timeout_s=90):
        yield port


async def test_talking_over_the_greeting_stops_it_and_is_answered(
    service: int, recorded: Callable[[str], Recording]
) -> None:
    needs("baresip")
    question = np.frombuffer(Resampler(24_000, RATE_HZ).process(recorded("librivox_0880").pcm), "<i2")
    for before_s in (4, 4.4, 3.6):  # now and then it begins between two sentences, with nothing there to be stopped
        microphone = np.concatenate([silence(before_s), question, silence(7)])
        call = await asyncio.to_thread(dial, service, microphone)
        if stop_ms(call) is not None:
            break
    assert loud(call.heard)[100:350].mean() > 0.3  # the greeting
    assert stop_ms(call) is not None  # it fell silent
    assert delay_ms(call) is not None  # and the question has an answer
