"""Computed prompt prefixes on disk: found by their text, a few of them, the least recently used go first.

They hold what an agent is told at the start, never a conversation. The folder is private to the user and ends with the
service; the prefixes of the configured agents are copied to one that stays.
"""

import hashlib
import os
import shutil
import threading
import urllib.error
import urllib.request
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import msgspec

_KEPT = 8
_MIN_TOKENS = 96
"""A shorter prefix is computed about as fast as a file is read."""
_TIMEOUT_S = 5.0
_INDEX = "index.json"


def copy_prefixes(source: Path, target: Path) -> None:
    """Copy saved prefixes into another private folder, made if need be; nothing happens where there are none.

    A file is there whole or not at all, and the index comes last: two services may share a folder.
    """
    if not (source / _INDEX).exists():
        return
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (*source.glob("*.state"), source / _INDEX):
        if path.name == _INDEX or not (target / path.name).exists():
            scratch = target / f"{path.name}.{os.getpid()}"
            shutil.copyfile(path, scratch)
            os.replace(scratch, target / path.name)
    kept = {path.name for path in source.glob("*.state")}
    for path in target.glob("*.state"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


class SlotStates(Protocol):
    """Moves the state of a slot to a file and back."""

    def save(self, slot: int, name: str) -> bool:
        """Write the slot's state to `name`; False if that did not work."""
        ...

    def restore(self, slot: int, name: str) -> bool:
        """Read it back; False if that did not work: the slot is then empty or as it was."""
        ...


class SlotFiles:
    """llama.cpp's own way to do it: two calls to its loopback listener."""

    def __init__(self, address: str, key: str) -> None:
        """`address` as in `http://127.0.0.1:43210`."""
        self._address = address
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        # A proxy of the environment must not see this.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def save(self, slot: int, name: str) -> bool:
        """See SlotStates."""
        return self._call(slot, "save", name)

    def restore(self, slot: int, name: str) -> bool:
        """See SlotStates."""
        return self._call(slot, "restore", name)

    def _call(self, slot: int, action: str, name: str) -> bool:
        request = urllib.request.Request(
            f"{self._address}/slots/{slot}?action={action}",
            data=msgspec.json.encode({"filename": name}),
            headers=self._headers,
            method="POST",
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, TimeoutError, OSError):
            return False


class Prefixes:
    """The index of the saved prefixes of one model."""

    def __init__(self, folder: Path, states: SlotStates, *, model: str) -> None:
        """`model` says what computed them: another model's are not touched. A damaged index is an empty one."""
        self._folder = folder
        self._states = states
        self._model = model
        self._lock = threading.Lock()
        self._names: OrderedDict[str, str] = OrderedDict()
        for prompt, name in self._read().items():
            if (folder / name).exists():
                self._names[prompt] = name

    def restore(self, slot: int, prompt: str, *, longer_than: int = 0) -> str:
        """Put the longest saved prefix of `prompt` into a slot that holds only its first `longer_than` characters.

        Returns the prefix, or "" if there is none that is longer.
        """
        with self._lock:
            best = max((saved for saved in self._names if prompt.startswith(saved)), key=len, default="")
            if len(best) <= longer_than:
                return ""
            self._names.move_to_end(best)
            name = self._names[best]
        return best if self._states.restore(slot, name) else ""

    def save(self, slot: int, prompt: str, tokens: int) -> None:
        """Keep what the slot holds as the state after `prompt`, unless it is short or kept already."""
        with self._lock:
            if tokens < _MIN_TOKENS or prompt in self._names:
                return
        name = hashlib.sha256(f"{self._model}\0{prompt}".encode()).hexdigest()[:32] + ".state"
        if not self._states.save(slot, name):
            return
        with self._lock:
            self._names[prompt] = name
            while len(self._names) > _KEPT:
                _, old = self._names.popitem(last=False)
                (self._folder / old).unlink(missing_ok=True)
            self._write()

    def _read(self) -> dict[str, str]:
        try:
            index = msgspec.json.decode((self._folder / _INDEX).read_bytes(), type=dict[str, dict[str, str]])
        except (OSError, msgspec.DecodeError):
            return {}
        return index.get(self._model, {})

    def _write(self) -> None:
        """Replace the index in one step: the process may be killed at any moment."""
        new = self._folder / f"{_INDEX}.new"
        new.write_bytes(msgspec.json.encode({self._model: self._names}))
        os.replace(new, self._folder / _INDEX)
