"""Our own softphone calls: sipp, and an endpoint of ours that wants a password or does not take the call."""

import asyncio
import subprocess

import pytest

from sip.auth import Credentials
from sip.trunk import Trunk
from transports.softphone.call import CallFailed, Dialling, Softphone
from voice.audio.frames import CORE_RATE_HZ
from voice.talk.recording import from_pcm

from .conftest import Desk, free_media_ports, free_port, listening, needs

TONE = from_pcm("tone", bytes(2 * CORE_RATE_HZ // 10) + b"\x00\x20\x00\xe0" * (CORE_RATE_HZ // 10))
QUICK = {"wait_s": 0.3, "pause_s": 0.2}


async def call(uri: str, **named: object) -> tuple[Softphone, list[str]]:
    said: list[str] = []
    phone = Softphone(Dialling(uri, **(QUICK | named)), said.append)  # type: ignore[arg-type]  # passed on as given
    await phone.call([TONE])
    return phone, said


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_to_sipp_which_sends_the_audio_back(tmp_path, transport) -> None:
    needs("sipp")
    port = free_port()
    command = [
        "sipp",
        "-sn",
        "uas",
        "-i",
        "127.0.0.1",
        "-p",
        str(port),
        "-mi",
        "127.0.0.1",
        "-mp",
        str(free_media_ports(4)),
    ]
    command += ["-rtp_echo", "-nostdin", "-m", "1", "-t", "u1" if transport == "udp" else "t1"]
    callee = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        await asyncio.sleep(0.5)
        phone, said = await call(f"sip:echo@127.0.0.1:{port};transport={transport}", codecs=("pcmu",))
    finally:
        if callee.returncode is None:
            callee.terminate()
        await callee.wait()
    assert said[:2] == ["180 Ringing", "answered (PCMU)"]
    assert phone.outcome.ended == "local bye"
    assert phone.outcome.packets > 5


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_port_where_nobody_listens_is_told_at_once(host) -> None:
    async with asyncio.timeout(5):  # an INVITE over UDP is given up after 32 s
        port = free_port()
        with pytest.raises(CallFailed, match=rf"^nobody answers at {host}:{port} over UDP\. Is the phone line on"):
            await call(f"sip:echo@{host}:{port}")


@pytest.mark.parametrize("password", ["secret", "wrong"])
async def test_a_password(password) -> None:
    desk = Desk()
    trunk = Trunk("phones", passwords={"alice": "secret"})
    async with listening(desk, trunks=(trunk,)) as line:
        uri = f"sip:desk@127.0.0.1:{line.listening['UDP'][1]}"
        credentials = (Credentials("alice", password),)
        if password == "secret":
            await call(uri, credentials=credentials)
            assert desk.legs[0].call.arrival.username == "alice"
        else:
            with pytest.raises(CallFailed, match="401 Unauthorized"):
                await call(uri, credentials=credentials)


async def test_a_call_that_is_not_taken_says_why() -> None:
    with pytest.raises(CallFailed, match="over TCP"):
        await call(f"sip:nobody@127.0.0.1:{free_port()};transport=tcp")
    with pytest.raises(CallFailed, match="no address to call"):
        await call("tel:+15550100")
