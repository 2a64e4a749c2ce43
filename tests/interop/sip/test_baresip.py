"""baresip calls us: a real phone over UDP, TCP and TLS, with and without a password."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from bench.sip_load import Caller
from sip.call_effects import EndReason
from sip.caller_machine import Destination
from sip.crypto import Srtp
from sip.headers import NameAddr
from sip.media import LocalMedia
from sip.trunk import Trunk
from transports.sip_line import TlsContexts
from voice.config_types import TlsConfig

from .conftest import Desk, listening


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for this machine, and its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, file, both = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "both.pem"
    wanted = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", file, *wanted],
        check=True,
        capture_output=True,
    )
    both.write_text(file.read_text() + key.read_text())
    return both


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_phone_calls_holds_resumes_and_hangs_up(make_baresip, transport) -> None:
    desk = Desk()
    async with listening(desk) as line, make_baresip(transport=transport) as phone:
        phone.tell("dial", f"sip:desk@127.0.0.1:{line.listening['UDP'][1]};transport={transport}")
        await phone.event("CALL_ESTABLISHED")
        (leg,) = desk.legs
        assert leg.call.arrival.transport == transport.upper()
        phone.tell("hold")
        await desk.until(lambda: leg.agreements[-1].is_held)
        phone.tell("resume")
        await desk.until(lambda: not leg.agreements[-1].is_held)
        phone.tell("hangup")
        await desk.until(lambda: line.calls == 0)
        assert leg.end is not None
        assert leg.end.reason is EndReason.REMOTE_BYE


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_we_hang_up_on_a_phone(make_baresip, transport) -> None:
    desk = Desk()
    async with listening(desk) as line, make_baresip(transport=transport) as phone:
        phone.tell("dial", f"sip:desk@127.0.0.1:{line.listening['UDP'][1]};transport={transport}")
        await phone.event("CALL_ESTABLISHED")
        await desk.until(lambda: desk.legs[0].is_confirmed)
        desk.legs[0].call.hang_up()
        await phone.event("CALL_CLOSED")
        await desk.until(lambda: not line.agent.calls.is_waiting)


async def test_a_phone_gives_up_while_it_rings(make_baresip) -> None:
    desk = Desk(None)
    async with listening(desk) as line, make_baresip() as phone:
        phone.tell("dial", f"sip:desk@127.0.0.1:{line.listening['UDP'][1]}")
        await phone.event("CALL_RINGING")
        phone.tell("hangup")
        await desk.until(lambda: line.calls == 0)
        assert desk.legs[0].end is not None
        assert desk.legs[0].end.reason is EndReason.CANCELLED


async def test_over_tls_with_encrypted_audio_and_a_renewed_certificate(make_baresip, certificate) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    desk = Desk()
    trunk = Trunk("phones", passwords={"alice": "secret"}, srtp=Srtp.REQUIRED, transports=frozenset(("TLS",)))
    account = ";mediaenc=srtp-mand;auth_user=alice;auth_pass=secret"
    config = f"sip_certificate {certificate}\nsip_cafile {certificate}\nsip_verify_server yes"
    async with (
        listening(desk, trunks=(trunk,), tls=context) as line,
        make_baresip(transport="tls", account=account, config=config) as phone,
    ):
        phone.tell("dial", f"sip:desk@127.0.0.1:{line.listening['TLS'][1]};transport=tls")
        await phone.event("CALL_ESTABLISHED")
        (leg,) = desk.legs
        assert (leg.call.arrival.transport, leg.call.arrival.username) == ("TLS", "alice")
        assert leg.agreements[0].remote_crypto is not None
        context.load_cert_chain(certificate)  # what a renewal does; connections that stand go on
        leg.call.hang_up()
        await phone.event("CALL_CLOSED")


@pytest.mark.parametrize("password", ["secret", "wrong"])
async def test_a_password(make_baresip, password) -> None:
    desk = Desk()
    trunk = Trunk("phones", passwords={"alice": "secret"})
    async with (
        listening(desk, trunks=(trunk,)) as line,
        make_baresip(account=f";auth_user=alice;auth_pass={password}") as phone,
    ):
        phone.tell("dial", f"sip:desk@127.0.0.1:{line.listening['UDP'][1]}")
        await phone.event("CALL_ESTABLISHED" if password == "secret" else "CALL_CLOSED")
        assert len(desk.legs) == (1 if password == "secret" else 0)


@pytest.mark.parametrize("shows", [True, False])
async def test_a_phone_shows_its_certificate_where_callers_are_asked_for_one(
    make_baresip, certificate, caplog, shows
) -> None:
    """livekit/sip #530: neither side could be made to show one."""
    contexts = TlsContexts(TlsConfig(certificate=certificate, key=certificate), certificate)
    desk = Desk()
    config = f"sip_cafile {certificate}\nsip_verify_server yes" + f"\nsip_certificate {certificate}" * shows
    async with (
        listening(desk, tls=contexts.serving) as line,
        make_baresip(transport="tls", config=config) as phone,
    ):
        phone.tell("dial", f"sip:desk@127.0.0.1:{line.listening['TLS'][1]};transport=tls")
        if shows:
            await phone.event("CALL_ESTABLISHED")
        else:  # the phone tries again and again, and says nothing
            await desk.until(lambda: "TLS failed" in caplog.text)
            assert not desk.legs


async def test_our_own_connections_show_our_certificate(certificate) -> None:
    contexts = TlsContexts(TlsConfig(certificate=certificate, key=certificate), certificate)
    desk = Desk()
    async with (
        listening(desk, tls=contexts.serving) as line,
        listening(Desk(), tls_client=contexts.calling) as caller,
    ):
        uri = f"sips:desk@127.0.0.1:{line.listening['TLS'][1]}"
        us = Caller()
        call = caller.call(Destination(uri, NameAddr("sip:us@127.0.0.1")), LocalMedia("127.0.0.1", 40_000), us)
        await desk.until(lambda: bool(desk.legs) and desk.legs[0].is_confirmed)
        assert desk.legs[0].call.arrival.transport == "TLS"
        call.hang_up()
        await us.over.wait()
