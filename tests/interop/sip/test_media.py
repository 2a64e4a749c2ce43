"""The audio of real calls: every codec both ways, SRTP by SDES, keys by each means, hold; baresip is the phone."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sip.codecs import G722, OPUS, PCMA, PCMU
from sip.crypto import Srtp
from sip.trunk import Trunk
from transports.phone import PhoneSettings
from transports.rtp.tones import ToneDetector, make_tone
from transports.sip_call import KeySettings
from transports.sip_pressing import ALL_MEANS, Means
from voice.audio.files import decode
from voice.protocol.client_events import ConversationItemCreate, ResponseCreate
from voice.protocol.server_events import InputAudioBufferDtmfEventReceived

from .conftest import Baresip
from .media_peers import Line, babble, echo_line, likeness, write_wav

LOCAL = (ip_network("127.0.0.0/8"),)
ALL = (PCMU, PCMA, G722, OPUS)
MakePhone = Callable[..., Baresip]


async def dial(line: Line, phone: Baresip) -> None:
    phone.tell("dial", f"sip:desk@127.0.0.1:{line.port}")
    await phone.event("CALL_ESTABLISHED")


def recording(folder: Path, kind: str = "dec") -> Path:
    return next(folder.glob(f"dump-*-{kind}.wav"))


@pytest.mark.parametrize(
    ("codec", "rate_hz", "least"),
    [("PCMU/8000/1", 8_000, 0.98), ("PCMA/8000/1", 8_000, 0.98), ("G722/16000/1", 16_000, 0.98),
     ("opus/48000/2", 48_000, 0.9)],
)  # fmt: skip
async def test_every_codec_is_heard_both_ways(
    make_baresip: MakePhone, tmp_path: Path, codec: str, rate_hz: int, least: float
) -> None:
    write_wav(tmp_path / "mic.wav", babble(30, rate_hz), rate_hz)
    original = babble(30, 24_000)
    said = babble(9, 24_000)[::-1]
    async with echo_line((Trunk("phones", LOCAL, codecs=ALL),), says=said.tobytes()) as line:
        async with make_baresip(codec=codec, rate_hz=rate_hz) as phone:
            await dial(line, phone)
            await line.until(lambda: len(line.place.heard) > 48_000 * 3)
            phone.tell("hangup")
            await line.until(lambda: line.phone.active == 0)
        heard = tmp_path / "heard.wav"
        write_wav(heard, np.frombuffer(bytes(line.place.heard), "<i2"), 24_000)
    assert likeness(original, heard) > least  # there
    assert likeness(said, recording(tmp_path)) > least  # and back


@pytest.mark.parametrize(
    ("trunk", "account", "encrypted"),
    [
        (Srtp.REQUIRED, ";mediaenc=srtp-mand", True),
        (Srtp.OPTIONAL, ";mediaenc=srtp", True),
        (Srtp.OPTIONAL, "", False),
        (Srtp.OFF, "", False),
    ],
)
async def test_encryption_is_as_both_sides_want_it(
    make_baresip: MakePhone, tmp_path: Path, trunk: Srtp, account: str, encrypted: bool
) -> None:
    write_wav(tmp_path / "mic.wav", babble(30, 8_000), 8_000)
    async with echo_line((Trunk("phones", LOCAL, srtp=trunk),)) as line, make_baresip(account=account) as phone:
        await dial(line, phone)
        await line.until(lambda: len(line.place.heard) > 48_000 * 3)
        (open_call,) = line.phone._open
        assert open_call.is_encrypted is encrypted
        phone.tell("hangup")
        await line.until(lambda: line.phone.active == 0)
    assert likeness(babble(30, 24_000), recording(tmp_path)) > 0.98


@pytest.mark.parametrize(("trunk", "account"), [(Srtp.REQUIRED, ""), (Srtp.OFF, ";mediaenc=srtp-mand")])
async def test_encryption_that_one_side_refuses_is_no_call(make_baresip: MakePhone, trunk: Srtp, account: str) -> None:
    async with (
        echo_line((Trunk("phones", LOCAL, srtp=trunk),)) as line,
        make_baresip(account=account) as phone,
    ):
        phone.tell("dial", f"sip:desk@127.0.0.1:{line.port}")
        closed = await phone.event("CALL_CLOSED")
        assert "488" in str(closed)
        await line.until(lambda: line.phone.active == 0)
        assert line.place.is_released


class Watcher:
    """A sideband that notes keys."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._over = asyncio.Event()

    def send_event(self, event: Any) -> None:
        if isinstance(event, InputAudioBufferDtmfEventReceived):
            self.keys.append(event.event)

    async def client_events(self) -> Any:
        await self._over.wait()
        return
        yield

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        self._over.set()


@pytest.mark.parametrize("means", ["rtpevent", "info"])
async def test_keys_reach_sidebands_and_agent_by_each_means(make_baresip: MakePhone, means: str) -> None:
    settings = PhoneSettings(first_port=21_000, last_port=21_399, keys=KeySettings(as_input=True, pause_s=0.5))
    async with echo_line(settings=settings) as line, make_baresip(account=f";dtmfmode={means}") as phone:
        await dial(line, phone)
        await line.until(lambda: line.sessions.places and line.place.transport is not None)
        watcher = Watcher()
        joined = asyncio.create_task(line.place.transport.join(watcher))
        for key in "12#":
            phone.tell("sndcode", key)
            await asyncio.sleep(0.35)
        await line.until(lambda: len(watcher.keys) >= 3 and line.place.events)
        assert watcher.keys == ["1", "2", "#"]
        made = [event for event in line.place.events if isinstance(event, ConversationItemCreate)]
        assert "1 2 #" in str(made[0].item)
        assert isinstance(line.place.events[-1], ResponseCreate)
        phone.tell("hangup")
        await joined


@pytest.mark.parametrize(
    ("means", "dtmf_mode"), [(("rtp",), "rtpevent"), (("info",), "info"), (ALL_MEANS, "rtpevent")], ids=str
)
async def test_keys_of_ours_reach_the_phone_as_events_of_rtp_and_by_info(
    make_baresip: MakePhone, means: tuple[Means, ...], dtmf_mode: str
) -> None:
    settings = PhoneSettings(first_port=21_000, last_port=21_399, keys=KeySettings(means=means))
    async with echo_line(settings=settings) as line, make_baresip(account=f";dtmfmode={dtmf_mode}") as phone:
        await dial(line, phone)
        await line.until(lambda: line.sessions.places and line.place.phone is not None)
        await line.until(lambda: len(line.place.heard) > 24_000)
        assert line.place.press("159*#")
        await line.until(lambda: len(keys_of(phone)) >= 5)
        assert keys_of(phone) == "159*#"
        phone.tell("hangup")
        await line.until(lambda: line.phone.active == 0)


def keys_of(phone: Baresip) -> str:
    return "".join(str(one.get("param", "")) for one in phone.events if one.get("type") == "CALL_DTMF_START")


async def test_keys_of_ours_are_tones_in_what_the_phone_hears(make_baresip: MakePhone, tmp_path: Path) -> None:
    settings = PhoneSettings(first_port=21_000, last_port=21_399, keys=KeySettings(means=("inband",)))
    async with echo_line(settings=settings, speaks=False) as line, make_baresip() as phone:
        await dial(line, phone)
        await line.until(lambda: len(line.place.heard) > 48_000)
        assert line.place.press("159*#")
        await line.until(lambda: len(line.place.heard) > 48_000 * 4)
        phone.tell("hangup")
        await line.until(lambda: line.phone.active == 0)
    assert ToneDetector(24_000).receive(decode(recording(tmp_path).read_bytes())) == list("159*#")


async def test_keys_are_heard_in_the_audio_where_that_is_enabled(make_baresip: MakePhone, tmp_path: Path) -> None:
    gap = np.zeros(2_000, "<i2")
    tones = [np.frombuffer(make_tone(key, 120, 8_000), "<i2") for key in "159#"]
    mic = np.concatenate([np.zeros(12_000, "<i2"), *(part for tone in tones for part in (tone, gap))])
    write_wav(tmp_path / "mic.wav", np.concatenate([mic, np.zeros(160_000, "<i2")]), 8_000)
    settings = PhoneSettings(first_port=21_000, last_port=21_399, hears_tones=True)
    async with echo_line(settings=settings) as line, make_baresip() as phone:
        await dial(line, phone)
        await line.until(lambda: line.sessions.places and line.place.transport is not None)
        watcher = Watcher()
        joined = asyncio.create_task(line.place.transport.join(watcher))
        await line.until(lambda: len(watcher.keys) >= 4)
        assert watcher.keys == ["1", "5", "9", "#"]
        phone.tell("hangup")
        await joined


async def test_on_hold_nobody_is_heard_and_after_it_the_call_goes_on(make_baresip: MakePhone, tmp_path: Path) -> None:
    write_wav(tmp_path / "mic.wav", babble(30, 8_000), 8_000)
    async with echo_line() as line, make_baresip() as phone:
        await dial(line, phone)
        await line.until(lambda: len(line.place.heard) > 48_000)
        phone.tell("hold")
        (transport,) = line.phone._open
        await line.until(lambda: transport._media.agreement is not None and transport._media.agreement.is_held)
        await asyncio.sleep(1.2)
        at_rest = len(line.place.heard)
        level_ms = transport._audio.playout.level_ms
        await asyncio.sleep(0.5)
        assert len(line.place.heard) == at_rest
        assert transport._audio.playout.level_ms == level_ms
        assert not any(line.place.heard[-48_000 // 2 :])
        phone.tell("resume")
        await line.until(lambda: len(line.place.heard) > at_rest + 48_000)
        assert any(line.place.heard[-48_000 // 2 :])
        phone.tell("hangup")
        await line.until(lambda: line.phone.active == 0)


async def test_a_hang_up_by_call_id_ends_the_phone_call(make_baresip: MakePhone) -> None:
    async with echo_line() as line, make_baresip() as phone:
        await dial(line, phone)
        await line.until(lambda: line.sessions.places and line.place.transport is not None)
        (call_id,) = line.calls._live
        assert call_id.startswith("rtc_")
        call = line.calls.find(call_id, "any-key")
        await call.transport.aclose()
        await phone.event("CALL_CLOSED")
