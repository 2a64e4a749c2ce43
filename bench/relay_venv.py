"""The environment that the peers of `bench.relay` run in: made once, from a locked list, beside the project's own."""

import hashlib
import subprocess
import sys
from pathlib import Path

from bench.harness import progress

_HERE = Path(__file__).parent
_LOCK = _HERE / "relay_peers.lock"
_VENV = _HERE.parent / ".venv-relay"
_MADE_FROM = _VENV / "made-from"


def python_of_peers() -> str:
    """Return the interpreter that has Pipecat and LiveKit Agents; the first time it is made, which takes minutes."""
    wanted = hashlib.sha256(_LOCK.read_bytes()).hexdigest()
    python = _VENV / "bin" / "python"
    if not _MADE_FROM.exists() or _MADE_FROM.read_text() != wanted:
        progress(f"installing the peers into {_VENV.name} …")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_VENV)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(_LOCK)]
        subprocess.run([*install, "--disable-pip-version-check"], check=True)
        _MADE_FROM.write_text(wanted)
    return str(python)
