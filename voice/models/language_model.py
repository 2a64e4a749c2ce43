"""A GGUF language model on llama.cpp (xllamacpp): one cache slot a session, greedy by default, stoppable anywhere.

llama.cpp batches what several threads ask of it and calls back with every token, and while a prompt is worked through
with every batch (`return_progress`); a callback that returns True ends the request, and what was computed stays in the
slot. Its own HTTP listener cannot be turned off: it is bound to a free loopback port, with a random key.

A prompt prefix that took long to compute is also written to a file (the state of the slot, about 12 KB a token for the
0.5B model). A new session with the same prefix, or a host that was restarted, reads it back in milliseconds.
"""

import os
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from voice.errors import EngineError, EngineUnavailable
from voice.models.prefixes import Prefixes, SlotFiles
from voice.models.slots import Slots

Reason = Literal["stop", "length", "cancelled"]

WARM_UP_PROMPT = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True, slots=True)
class Generated:
    """How a generation ended."""

    reason: Reason
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt, those that were in the slot already."""
    output_tokens: int = 0


def _never() -> bool:
    return False


class LanguageModel:
    """One loaded model. `generate` and `prefill` block; as many threads may call as there are slots, one a session."""

    def __init__(
        self, path: Path, *, threads: int, slots: int, context_tokens: int, batch_tokens: int, prefix_dir: Path | None
    ) -> None:
        """Load and warm up. `prefix_dir`: where computed prefixes are kept; None keeps none.

        Raises: EngineUnavailable, if the runtime is not installed or the file is no model that it can read.
        """
        # OpenMP's threads spin at every barrier. Beside one other busy process on two cores, that made a token cost
        # 195 ms of CPU instead of 77 and generation five to ten times slower; never spinning costs a quarter of the
        # speed on a quiet machine. This short spin is as fast as the default when quiet and within a fifth of not
        # spinning when busy. Read when the library is loaded, hence set before the import.
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")
        try:
            import xllamacpp
        except ImportError:
            raise EngineUnavailable(
                "The language model's runtime is not installed: pip install 'realtime-voice-agent[embedded]'."
            ) from None
        self._slots = Slots(slots)
        self._lock = threading.Lock()
        self._held: dict[int, str] = {}
        """Per slot the text that it surely holds the state of."""
        key = secrets.token_urlsafe(24)
        params = _params(xllamacpp, path, threads, slots, context_tokens, batch_tokens)
        params.api_keys = [key]
        if prefix_dir is not None:
            params.endpoint_slots = True
            params.slot_save_path = f"{prefix_dir}{os.sep}"
        try:
            self._server = xllamacpp.Server(params)
        except Exception as error:  # the binding raises whatever the C++ side threw
            raise EngineUnavailable(f"The language model {path.name} cannot be loaded: {error}") from error
        self._prefixes = (
            None
            if prefix_dir is None
            else Prefixes(
                prefix_dir, SlotFiles(self._server.listening_address, key), model=_state_key(path, context_tokens)
            )
        )
        self.generate("", WARM_UP_PROMPT, max_tokens=2, emit=lambda _: None)
        self.release("")

    def generate(
        self,
        session: str,
        prompt: str,
        *,
        max_tokens: int,
        emit: Callable[[str], None],
        grammar: str | None = None,
        stop: Sequence[str] = (),
        temperature: float = 0.0,
        stopped: Callable[[], bool] = _never,
    ) -> Generated:
        """Continue `prompt`; `emit` gets every piece of text as it is made.

        `stopped` is asked at every token and at every batch of the prompt. Raises: EngineError, for a prompt that is
        too long or a grammar that does not parse.
        """
        request: dict[str, Any] = {"n_predict": max(1, max_tokens), "temperature": temperature}
        if grammar is not None:
            request["grammar"] = grammar
        if stop:
            request["stop"] = list(stop)
        return self._run(session, prompt, request, emit, stopped)

    def prefill(self, session: str, prompt: str, *, stopped: Callable[[], bool] = _never) -> Generated:
        """Work `prompt` into the session's slot, so that a prompt that begins with it starts at once."""
        return self._run(session, prompt, {"n_predict": 0, "temperature": 0.0}, lambda _: None, stopped, keep=True)

    def release(self, session: str) -> None:
        """The session has ended: its slot may go to another."""
        with self._lock:
            self._slots.release(session)

    def _run(
        self,
        session: str,
        prompt: str,
        request: dict[str, Any],
        emit: Callable[[str], None],
        stopped: Callable[[], bool],
        *,
        keep: bool = False,
    ) -> Generated:
        with self._lock:
            slot = self._slots.acquire(session)
        kept = _common_start(self._held.get(slot, ""), prompt)
        try:
            if self._prefixes is not None:
                kept = self._prefixes.restore(slot, prompt, longer_than=len(kept)) or kept
            self._held[slot] = kept
            call = _Call(emit, stopped)
            self._server.handle_completions(
                request
                | {"prompt": prompt, "id_slot": slot, "cache_prompt": True, "stream": True, "return_progress": True},
                call.receive,
            )
            if call.prompt_read:
                self._held[slot] = prompt
            done = call.result()
            if keep and self._prefixes is not None and done.reason != "cancelled":
                self._prefixes.save(slot, prompt, done.prompt_tokens)
            return done
        finally:
            with self._lock:
                self._slots.done(session)


class _Call:
    """What llama.cpp calls back with for one request."""

    def __init__(self, emit: Callable[[str], None], stopped: Callable[[], bool]) -> None:
        self._emit = emit
        self._stopped = stopped
        self._failure: BaseException | None = None
        self._done: Generated | None = None
        self.prompt_read = False
        """Whether the slot has taken in the whole prompt."""

    def receive(self, chunk: dict[str, Any]) -> bool:
        """Take a chunk; True ends the request. An exception here would be swallowed by the binding, so it is kept."""
        try:
            return self._take(chunk)
        except BaseException as error:  # noqa: BLE001 - raised again by result()
            self._failure = error
            return True

    def _take(self, chunk: dict[str, Any]) -> bool:
        if error := chunk.get("error"):
            raise EngineError(f"The language model refused the request: {error.get('message', error)}.")
        choice = chunk["choices"][0]
        self.prompt_read = self.prompt_read or "prompt_progress" not in chunk
        if choice["text"]:
            self._emit(choice["text"])
        if choice["finish_reason"] is None:
            return self._stopped()
        timings = chunk["timings"]
        cached = timings["cache_n"]
        self._done = Generated(
            reason="length" if choice["finish_reason"] == "length" else "stop",
            prompt_tokens=cached + timings["prompt_n"],
            cached_tokens=cached,
            output_tokens=timings["predicted_n"],
        )
        return False

    def result(self) -> Generated:
        """How the request ended. Raises: what `receive` met."""
        if self._failure is not None:
            raise self._failure
        return self._done or Generated("cancelled")


def _common_start(one: str, other: str) -> str:
    same = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    return other[: min(len(one), len(other)) if same is None else same]


def _params(xllamacpp: Any, path: Path, threads: int, slots: int, context_tokens: int, batch_tokens: int) -> Any:
    """llama.cpp's parameters for short turns on a few cores."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel = slots
    params.n_ctx = slots * context_tokens
    params.n_batch = params.n_ubatch = batch_tokens
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.fit_params = False  # it would shrink the context to the memory that happens to be free
    params.warmup = False  # ours goes through the whole path
    params.cache_ram_mib = 0  # each session has its slot; a second copy in memory helps nobody
    params.cache_idle_slots = False
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 0
    return params


def _state_key(path: Path, context_tokens: int) -> str:
    """What a saved state depends on beside its prompt: the model's file, the length of a slot, the runtime."""
    stat = path.stat()
    return f"{path}:{stat.st_size}:{stat.st_mtime_ns}:{context_tokens}:{version('xllamacpp')}"
