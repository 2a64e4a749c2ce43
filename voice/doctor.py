"""`voice doctor`: looks at everything a first start needs and names the fix for each thing that is missing."""

import asyncio
import ctypes
import errno
import importlib.metadata
import importlib.util
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

import psutil
import typer
from rich.console import Console
from rich.markup import escape

from voice.config import TURN_COMPLETION_MODEL, Config, ServerConfig
from voice.config_file import load
from voice.config_sip import SipConfig
from voice.config_webrtc import WebRtcConfig
from voice.errors import ConfigError, ModelError
from voice.models import manifest
from voice.talk.service import is_ready

State = Literal["ok", "warning", "fail"]

PYTHON_NEEDED = (3, 11)

PACKAGES = {
    "aiohttp": "aiohttp",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "pydantic": "pydantic",
    "websockets": "websockets",
    "webrtcvad-wheels": "webrtcvad",
}
"""Distribution and module of what the service cannot start without."""

EMBEDDED_PACKAGES = {"hibari-tts": "hibari", "xllamacpp": "xllamacpp"}
"""Of the embedded engine only; the scripted one serves without."""

DISK_NEEDED_BYTES = 1_500_000_000
"""While the weights are fetched: their carriers and the files made of them (0.5B model)."""

DISK_LOW_BYTES = 100_000_000
MEMORY_NEEDED_BYTES = 1_200_000_000
"""Measured: 0.5B language model 650 MB, speech-to-text 242 MB, the service itself and one session's audio."""

_STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "fail": "bold red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    state: State
    detail: str
    fix: str | None = None
    """What to type or do; set on everything that is not ok."""


def doctor(
    config: Annotated[Path | None, typer.Option(help="The file to look at; config.yaml here by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of findings as JSON.")] = False,
) -> None:
    """Check this machine: Python, packages, configuration, port, upstreams, models, disk, CPU and memory.

    Every line that fails comes with its fix. Ends with status 1 when something fails; a warning does not count.
    """
    findings = list(examine(config))
    failed = any(finding.state == "fail" for finding in findings)
    if as_json:
        sys.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2) + "\n")
    else:
        _show(Console(), findings)
    if failed:
        raise typer.Exit(1)


def examine(config_path: Path | None = None) -> Iterator[Finding]:
    """Yield every finding, each as soon as it is known."""
    yield check_python(sys.version_info[:3])
    yield from check_packages(PACKAGES, "fail")
    yield from check_packages(EMBEDDED_PACKAGES, "warning")
    yield check_libgomp()
    finding, config = check_config(config_path)
    yield finding
    # With a broken file the rest is looked at with the defaults: one run should show everything.
    config = config or Config()
    yield check_port(config.server)
    yield check_webrtc(config.webrtc, config.server.max_sessions)
    yield from check_phone_line(config.sip)
    yield from check_upstreams(config)
    models = list(check_models(config))
    yield from models
    whole = all(model.state != "fail" for model in models)
    yield check_disk(manifest.cache_dir(), DISK_LOW_BYTES if whole else DISK_NEEDED_BYTES)
    yield check_cpu(os.cpu_count() or 1, os.getloadavg()[0])
    yield check_memory(psutil.virtual_memory().available)


def check_python(version: tuple[int, ...]) -> Finding:
    """Judge a Python version."""
    text = ".".join(str(part) for part in version)
    if version[:2] < PYTHON_NEEDED:
        return Finding("python", "fail", f"this is Python {text}", "install Python 3.11 or later, then: make run")
    return Finding("python", "ok", text)


def check_packages(packages: dict[str, str], missing_is: State) -> Iterator[Finding]:
    """Look for packages without importing them: a broken one must not take the doctor with it."""
    missing = [name for name, module in packages.items() if importlib.util.find_spec(module) is None]
    for name in missing:
        why = "" if missing_is == "fail" else "; the scripted engine serves without it"
        yield Finding(f"package {name}", missing_is, f"is not installed{why}", "make run installs what is missing")
    found = [f"{name} {importlib.metadata.version(name)}" for name in packages if name not in missing]
    if found:
        yield Finding("packages", "ok", ", ".join(found))


def check_libgomp() -> Finding:
    """Look for the OpenMP library that the language model's runtime links to (Debian does not always have it)."""
    if sys.platform != "linux":
        return Finding("libgomp", "ok", "not needed on this system")
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        return Finding("libgomp", "fail", "libgomp.so.1 is missing", "sudo apt-get install libgomp1")
    return Finding("libgomp", "ok", "libgomp.so.1 is there")


def check_config(path: Path | None) -> tuple[Finding, Config | None]:
    """Read the configuration."""
    try:
        loaded = load(path)
    except ConfigError as error:
        return Finding("config", "fail", str(error), "mend that line; voice config schema shows what there is"), None
    agents = ", ".join(loaded.config.agents) or "none"
    where = str(loaded.path) if loaded.path else "no config.yaml here, the defaults hold"
    return Finding("config", "ok", f"{where} (agents: {agents})"), loaded.config


def check_port(server: ServerConfig) -> Finding:
    """Try to listen where the service would."""
    name, place = "port", f"{server.host}:{server.port}"
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    try:
        with socket.create_server((server.host, server.port), family=family):
            return Finding(name, "ok", f"{place} is free")
    except (OSError, OverflowError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            return _port_in_use(server, place)
        why = getattr(error, "strerror", None) or str(error)
        return Finding(
            name, "fail", f"cannot listen at {place}: {why}", "set server.host and server.port to a place you may use"
        )


def check_phone_line(sip: SipConfig) -> Iterator[Finding]:
    """Try to listen where the phone would ring, and look at the addresses that callers are told."""
    if not sip.enabled:
        return
    wanted = [("UDP", socket.SOCK_DGRAM, "port"), ("TCP", socket.SOCK_STREAM, "port")]
    if sip.tls is not None:
        wanted.append(("TLS", socket.SOCK_STREAM, "tls_port"))
    for transport, kind, key in wanted:
        yield _check_phone_port(sip, transport, kind, key)
    rtp = sip.rtp
    pairs = (rtp.last - rtp.first + 1) // 2
    detail = f"{rtp.first}-{rtp.last}: {pairs} calls at a time, {sip.limits.max_calls} are allowed"
    if pairs < sip.limits.max_calls:
        fix = f"set sip.rtp.last to {rtp.first + 3 * sip.limits.max_calls} or sip.limits.max_calls to {pairs}"
        yield Finding("phone audio", "warning", detail, fix)
    else:
        yield Finding("phone audio", "ok", detail)
    if not sip.is_loopback and sip.public_address is None and not _has_public_address():
        yield Finding(
            "phone address",
            "warning",
            "this machine has no public address of its own: a carrier would send audio to a private one",
            "behind a 1:1 NAT set sip.public_address; with trunks of your own network only, all is well",
        )


def _check_phone_port(sip: SipConfig, transport: str, kind: socket.SocketKind, key: str) -> Finding:
    port = sip.tls_port if key == "tls_port" else sip.port
    name, place = f"phone {transport}", f"{sip.host}:{port}"
    family = socket.AF_INET6 if ":" in sip.host else socket.AF_INET
    try:
        with socket.socket(family, kind) as probe:
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((sip.host, port))
            return Finding(name, "ok", f"{place} is free")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            fix = f"stop what listens there (a voice service that runs?), or set sip.{key}"
            return Finding(name, "fail", f"{place} is in use", fix)
        return Finding(
            name, "fail", f"cannot listen at {place}: {error.strerror or error}", f"set sip.host or sip.{key}"
        )


def _has_public_address() -> bool:
    found = [address.address for addresses in psutil.net_if_addrs().values() for address in addresses]
    return any(_is_public(text) for text in found)


def _is_public(text: str) -> bool:
    try:
        return ip_address(text.partition("%")[0]).is_global
    except ValueError:  # a hardware address
        return False


def check_webrtc(webrtc: WebRtcConfig, max_sessions: int) -> Finding:
    """See whether the media of calls can come to the addresses and ports that are configured."""
    name = "webrtc"
    if not webrtc.enabled:
        return Finding(name, "ok", "off")
    for address in webrtc.addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, 0))
            except OSError as error:
                fix = "give addresses of this machine, or none for all of them; for a NAT see webrtc.public_address"
                return Finding(name, "fail", f"cannot listen at {address}: {error.strerror}", fix)
    if webrtc.ports is None:
        if webrtc.public_address is not None:
            fix = "set webrtc.ports, and have the NAT pass them on"
            return Finding(name, "warning", "a public address, and any port of the machine behind it", fix)
        return Finding(name, "ok", "any free UDP port")
    first, last = webrtc.ports
    if last - first + 1 < max_sessions:
        fix = f"widen webrtc.ports: a call takes one for each address of this machine, and {max_sessions} may be open"
        return Finding(name, "warning", f"UDP ports {first}-{last}", fix)
    return Finding(name, "ok", f"UDP ports {first}-{last}")


def check_models(config: Config) -> Iterator[Finding]:
    """Look for the weights that agents and aliases need; digests are compared, so a damaged file shows."""
    models = config.models
    # A file of the operator's own stands for the name; that it exists was checked with the configuration.
    for own in (models.stt_folder, models.llm_file):
        if own is not None and config.thinks_with_models:
            yield Finding("model of your own", "ok", str(own))
    # A scripted dialogue is served with webrtcvad alone as well; a conversation wants the neural model.
    missing_is: State = "fail" if config.thinks_with_models else "warning"
    for name in config.models_used:
        try:
            path = manifest.find(name)
        except ModelError as error:
            # Without it, only sessions that ask for `semantic_vad` are refused.
            state: State = "warning" if name == TURN_COMPLETION_MODEL else missing_is
            yield Finding(f"model {name}", state, str(error), error.command)
        else:
            yield Finding(f"model {name}", "ok", str(path))


def check_upstreams(config: Config) -> Iterator[Finding]:
    """Open a session at every upstream that somebody answers with, and close it."""
    from voice.engine_sources import upstream_options, upstreams_used
    from voice.upstream.trial import find_obstacle, shown_address

    for name, engine in upstreams_used(config):
        address = shown_address(engine.url)
        obstacle = asyncio.run(find_obstacle(upstream_options(engine)))
        if obstacle is not None:
            fix = f"look at engines.{name} in the configuration: url, model, key"
            yield Finding(f"engine {name}", "fail", f"{address}: {obstacle}", fix)
        else:
            yield Finding(f"engine {name}", "ok", f"{address} opens a session")


def check_disk(folder: Path, needed_bytes: int) -> Finding:
    """Look for room where the weights are kept."""
    while not folder.exists():
        folder = folder.parent
    free_bytes = shutil.disk_usage(folder).free
    detail = f"{_size(free_bytes)} free at {folder}"
    if free_bytes < needed_bytes:
        return Finding(
            "disk", "fail", detail, f"free at least {_size(needed_bytes)}, or set VOICE_MODELS_DIR to a larger disk"
        )
    return Finding("disk", "ok", detail)


def check_cpu(count: int, load: float) -> Finding:
    """Judge cores and how busy they are; embedded models want about two."""
    detail = f"{count} cores, load {load:.1f}"
    if load > count:
        return Finding("cpu", "warning", detail, "the machine is busy: answers will come late until that ends")
    if count < 2:
        return Finding("cpu", "warning", detail, "one core serves the scripted engine well and the embedded one slowly")
    return Finding("cpu", "ok", detail)


def check_memory(available_bytes: int) -> Finding:
    """Judge the memory that is free for the models."""
    detail = f"{_size(available_bytes)} available"
    if available_bytes < MEMORY_NEEDED_BYTES:
        fix = f"free {_size(MEMORY_NEEDED_BYTES)}, or serve without embedded models: voice serve --engine scripted"
        return Finding("memory", "fail", detail, fix)
    return Finding("memory", "ok", detail)


def _port_in_use(server: ServerConfig, place: str) -> Finding:
    if is_ready(server.host, server.port):
        return Finding("port", "ok", f"{place} is in use by a voice service that is ready")
    fix = f"stop what listens there, or: voice serve --port {server.port + 1}"
    return Finding("port", "fail", f"{place} is in use by another program", fix)


def _size(count_bytes: int) -> str:
    return f"{count_bytes / 1e9:.1f} GB"


def _show(console: Console, findings: list[Finding]) -> None:
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        mark = f"[{_STYLES[finding.state]}]{finding.state:<7}[/]"
        console.print(f"{mark}  {finding.name:<{width}}  {escape(finding.detail)}", highlight=False, soft_wrap=True)
        if finding.fix:
            console.print(f"{'':<7}  {'':<{width}}  fix: {escape(finding.fix)}", highlight=False, soft_wrap=True)
    failing = sum(finding.state == "fail" for finding in findings)
    verdict = f"[bold red]{failing} to mend[/]" if failing else "[green]ready: voice serve[/]"
    console.print(verdict, highlight=False)
