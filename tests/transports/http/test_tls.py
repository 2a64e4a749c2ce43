"""TLS from files, renewed while the service runs."""

import asyncio
import shutil
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
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    application = web.Application()
    application.router.add_get("/", echo)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate.context).start()
    port = runner.addresses[0][1]
    try:
        assert await served(port) == first
        assert not certificate.reload_if_changed()
        async with ClientSession() as client, client.ws_connect(f"https://127.0.0.1:{port}/", ssl=False) as socket:
            write(tmp_path, "second")
            assert certificate.reload_if_changed()
            assert await served(port) == der(files[0]) != first
            await socket.send_str("still there")
            assert await socket.receive_str(timeout=5) == "still there"
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
