"""The house has the rooms and doors of the design: who may import whom, and which modules touch no outside world."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ALLOWED = {"voice": set[str](), "sip": set[str](), "tools": {"voice"}, "transports": {"voice", "sip"}}
ACROSS = {"voice/app.py", "voice/cli.py"}
PURE = [
    *(f"voice/audio/{name}.py" for name in ("frames", "resample", "g711", "vad", "endpointing", "levels")),
    *(f"voice/audio/{name}.py" for name in ("noise", "turn_completion")),
    *("voice/protocol/**/*.py", "voice/session/**/*.py", "voice/conformance/grammar.py", "transports/playout.py"),
    *(f"transports/rtp/{name}.py" for name in ("packet", "rtcp", "statistics", "jitter_buffer", "arrivals", "dtmf")),
    *(f"transports/rtp/{name}.py" for name in ("concealment", "time_scale", "tones", "latch", "inbound", "outbound")),
    *(f"voice/remote/{name}.py" for name in ("sse", "retry", "messages", "chat_wire", "responses_wire", "options")),
    *(f"voice/upstream/{name}.py" for name in ("options", "words", "mirror", "answer", "rotation")),
    "voice/engines/breaker.py",
    *(f"voice/rest/{name}.py" for name in ("audio", "dialogue", "chat", "responses")),
    "sip/*.py",
]
SHELLS = {f"sip/{name}.py" for name in ("endpoint", "streams", "connection", "datagrams", "routes")}
"""The sockets and the clock of `sip`: the only modules there that are not pure."""
IMPURE = {"asyncio", "selectors", "socket", "ssl", "time", "threading", "concurrent", "subprocess"} | {
    *("aiohttp", "sounddevice", "websockets")
}
BUS_CLIENTS = {"nats"}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and first name of every import, those inside functions too, and `import_module("literal")`."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:  # a relative one stays in the package
            yield node.lineno, (node.module or "").partition(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from ((node.lineno, str(a.value).partition(".")[0]) for a in node.args if isinstance(a, ast.Constant))


def violations(root: Path) -> Iterator[str]:
    """Yield `file:line: why` for every import that the design forbids."""
    pure = {path for pattern in PURE for path in root.glob(pattern)} - {root / name for name in SHELLS}
    for package, allowed in ALLOWED.items():
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            for line, imported in imports(path):
                if imported in ALLOWED.keys() - allowed - {package} and name not in ACROSS:
                    yield f"{name}:{line}: {package} may not import {imported}"
                if path in pure and imported in IMPURE:
                    yield f"{name}:{line}: a pure module may not import {imported}"
                if imported in BUS_CLIENTS and not name.startswith("voice/cluster/"):
                    yield f"{name}:{line}: only voice/cluster may import {imported}"


def test_imports_follow_the_design() -> None:
    assert list(violations(ROOT)) == []


@pytest.mark.parametrize("pattern", PURE[:-1])
def test_every_pure_module_is_where_the_check_looks(pattern: str) -> None:
    assert list(ROOT.glob(pattern))


@pytest.mark.parametrize(
    ("name", "code", "why"),
    [
        ("voice/runner.py", "from tools.dispatch import Dispatcher", "voice may not import tools"),
        ("voice/runner.py", "def late():\n    import transports.memory", "voice may not import transports"),
        ("voice/runner.py", "import importlib\nimportlib.import_module('sip.uri')", "voice may not import sip"),
        ("tools/http.py", "import transports", "tools may not import transports"),
        ("sip/call.py", "from voice import errors", "sip may not import voice"),
        ("sip/user_agent.py", "import asyncio", "a pure module may not import asyncio"),
        ("transports/sip_call.py", "from tools import tool", "transports may not import tools"),
        ("voice/session/turn.py", "import time", "a pure module may not import time"),
        ("voice/protocol/codec.py", "from asyncio import Queue", "a pure module may not import asyncio"),
        ("voice/audio/vad.py", "import concurrent.futures", "a pure module may not import concurrent"),
        ("transports/playout.py", "def f():\n    import threading", "a pure module may not import threading"),
        ("voice/manager.py", "import nats.aio.client", "only voice/cluster may import nats"),
    ],
)
def test_a_violation_is_found(tmp_path: Path, name: str, code: str, why: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_text(code)
    assert list(violations(tmp_path)) == [f"{name}:{code.count(chr(10)) + 1}: {why}"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("voice/app.py", "import tools, transports, sip"),
        ("tools/dispatch.py", "from voice.tooling import ToolSpec\nimport asyncio"),
        ("transports/sip_call.py", "import sip, voice, asyncio"),
        ("voice/audio/stream.py", "import asyncio"),
        ("sip/endpoint.py", "import asyncio, socket, time"),
        ("voice/cluster/bus.py", "import nats"),
        ("voice/session/turn.py", "from . import time"),
    ],
)
def test_what_the_design_allows_is_not_a_violation(tmp_path: Path, name: str, code: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_text(code)
    assert list(violations(tmp_path)) == []
