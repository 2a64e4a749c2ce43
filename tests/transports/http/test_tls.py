"""TLS from files, renewed while the service runs."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from transports.http.tls import Certificate


def write(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a self-signed certificate of that common name."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on this machine, which makes the certificate")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}"]
    command = ["openssl", "req", "-x509", *kind, "-days", "2", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return certificate, key


async def served(port: int) -> bytes:
    text = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port), timeout=5)
    return ssl.PEM_cert_to_DER_cert(text)


def der(certificate: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.read_text())


async def test_renewed_files_are_served_and_connections_that_stand_go_on(tmp_path: Path) -> None:
    files = write(tmp_path, "first")
    certificate, first = Certificate(*files), der(files[0])

    async def echo(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        async for message in answer:
            await answer.send_str(message.data)
        return answer

    application = web.Application()
    application.router.add_get("/", echo)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate.context).start()
    port = runner.addresses[0][1]
    try:
        assert await served(port) == first
        assert not certificate.reload_if_changed()
        async with ClientSession() as client, client.ws_connect(f"https://127.0.0.1:{port}/", ssl=False) as talk:
            write(tmp_path, "second")
            assert certificate.reload_if_changed()
            assert await served(port) == der(files[0]) != first
            await talk.send_str("still there")
            assert await talk.receive_str(timeout=5) == "still there"
            (tmp_path / "key.pem").write_text("half written")
            assert not certificate.reload_if_changed()
            assert await served(port) == der(files[0])
    finally:
        await runner.cleanup()


def test_files_that_are_no_certificate_are_refused_at_the_start(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, "any")
    key.write_text("no key")
    with pytest.raises(ssl.SSLError):
        Certificate(certificate, key)


async def test_no_ticket_follows_the_handshake(tmp_path: Path) -> None:
    """A ticket meets what a client writes at once: see `Certificate`."""
    files = write(tmp_path, "localhost")
    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=Certificate(*files).context)
    trust = ssl.create_default_context(cafile=files[0])

    def session_after_reading() -> ssl.SSLSession | None:
        with (
            socket.create_connection(server.sockets[0].getsockname(), timeout=5) as plain,
            trust.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            assert secured.version() == "TLSv1.3"
            assert secured.recv(5) == b"hello"
            return secured.session

    async with server:
        session = await asyncio.to_thread(session_after_reading)
    assert session is None or not session.has_ticket


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    await writer.drain()
    writer.close()
