"""The caller's growing utterance and its words: partial ones while it grows, the final ones once, whoever asks.

hear ──► 16 kHz ──► partial … partial … ──► stable words ──► prompt prefix
                                      └──── final (at the pause) ──► kept while only silence is added
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from voice.audio.frames import CORE_RATE_HZ, HEARING_RATE_HZ, SAMPLE_BYTES, AudioFrame
from voice.audio.resample import Resampler
from voice.engines.model_port import Models
from voice.session.items import AudioPart, Item, Message

MAX_UTTERANCE_S = 120
"""Of a longer utterance the beginning is forgotten."""
SEGMENT_S = 15
"""Speech-to-text gets at most so much at a time; longer speech is cut at its quietest place."""
_SEARCH_S = 4
_WINDOW_SAMPLES = HEARING_RATE_HZ // 50
_SILENCE_RATIO = 0.1
"""Sound that stays 20 dB under the utterance's loudest 20 ms is silence."""
_SILENCE_FLOOR = 60.0
_PAUSE_SAMPLES = HEARING_RATE_HZ // 10
_FILTER_TAIL_SAMPLES = HEARING_RATE_HZ * 3 // 1000
"""So long the resampler still gives what came before."""
_INLINE_BYTES = 10 * CORE_RATE_HZ * SAMPLE_BYTES
_KEPT_UTTERANCES = 4
_KEPT_TRANSCRIPTS = 64


@dataclass(slots=True)
class _Final:
    """A transcript of the whole utterance so far; shared by all who want it."""

    samples: int
    task: asyncio.Task[str]
    waiting: int = 0


@dataclass(slots=True)
class Utterance:
    """What is heard of one item, at 16 kHz."""

    item_id: str
    pcm: bytearray = field(default_factory=bytearray)
    resampler: Resampler = field(default_factory=lambda: Resampler(CORE_RATE_HZ, HEARING_RATE_HZ))
    settled: list[str] = field(default_factory=list)
    """The words of the segments that are complete."""
    settled_samples: int = 0
    final: _Final | None = None
    partial: str = ""
    partial_samples: int = 0
    """How much of it the partial covers."""

    @property
    def samples(self) -> int:
        """Length so far."""
        return len(self.pcm) // SAMPLE_BYTES

    def push(self, pcm_24k: bytes) -> None:
        """Take more of it."""
        self.pcm += self.resampler.process(pcm_24k)
        surplus = len(self.pcm) - MAX_UTTERANCE_S * HEARING_RATE_HZ * SAMPLE_BYTES
        if surplus > 0:
            del self.pcm[:surplus]
            self.settled_samples = max(0, self.settled_samples - surplus // SAMPLE_BYTES)


class Hearing:
    """The utterances of one session."""

    def __init__(self, models: Models, session_id: str) -> None:
        self._models = models
        self._session_id = session_id
        self._utterances: OrderedDict[str, Utterance] = OrderedDict()
        self._transcripts: OrderedDict[str, str] = OrderedDict()

    def hear(self, item_id: str, frame: AudioFrame) -> Utterance:
        """Take the next audio of an utterance."""
        utterance = self._utterances.get(item_id)
        if utterance is None:
            utterance = self._utterances[item_id] = Utterance(item_id)
            while len(self._utterances) > _KEPT_UTTERANCES:
                self._forget(next(iter(self._utterances)))
        utterance.push(frame.pcm)
        return utterance

    def drop(self, item_id: str) -> None:
        """Let go of an utterance's audio; its words stay for the prompts to come."""
        self._forget(item_id)

    def close(self) -> None:
        """Let go of everything."""
        for item_id in list(self._utterances):
            self._forget(item_id)
        self._transcripts.clear()

    def transcript(self, item_id: str) -> str | None:
        """Return the words of an item that was transcribed before."""
        return self._transcripts.get(item_id)

    async def transcripts(self, items: Sequence[Item]) -> dict[str, str]:
        """Return the words of the user items that have none of their own. Raises: EngineError."""
        found: dict[str, str] = {}
        for item in items:
            if not isinstance(item, Message) or item.role != "user" or item.text:
                continue
            pcm = b"".join(part.pcm for part in item.parts if isinstance(part, AudioPart))
            known = self.transcript(item.id)
            if pcm and (known is None or item is items[-1]):
                known = await self.final(item.id, pcm)
            if known:
                found[item.id] = known
        return found

    async def partial(self, utterance: Utterance) -> str:
        """Return the words so far; may be empty when the models have more urgent things to do."""
        while utterance.samples - utterance.settled_samples > SEGMENT_S * HEARING_RATE_HZ:
            if not await self._settle_segment(utterance):
                return ""
        samples = utterance.samples
        unsettled = _slice(utterance, utterance.settled_samples)
        text = await self._models.transcribe(self._session_id, unsettled, partial=True)
        if text:
            utterance.partial, utterance.partial_samples = joined([*utterance.settled, text]), samples
        return utterance.partial if text else ""

    async def final(self, item_id: str, pcm_24k: bytes) -> str:
        """Return the words of an item; `pcm_24k` is all of its audio.

        Computed once for whoever asks at the same time or later, unless sound has been added. A computation that nobody
        waits for any more is cancelled. Raises: EngineError.
        """
        wanted = len(pcm_24k) // SAMPLE_BYTES * HEARING_RATE_HZ // CORE_RATE_HZ
        whole = await _converted(pcm_24k) if self._is_cut_short(item_id, wanted) else b""
        utterance = self._heard(item_id, whole, wanted)
        final = utterance.final
        if final is None and self._partial_holds(utterance, wanted):
            return self._keep(item_id, utterance.partial)
        if final is None or not self._still_holds(utterance, final, wanted):
            if final is not None and final.waiting == 0:
                final.task.cancel()
            task = asyncio.create_task(self._transcribe(utterance, wanted), name=f"transcribe {item_id}")
            final = utterance.final = _Final(wanted, task)
        return self._keep(item_id, await _shared(final))

    def _keep(self, item_id: str, text: str) -> str:
        self._transcripts[item_id] = text
        while len(self._transcripts) > _KEPT_TRANSCRIPTS:
            self._transcripts.popitem(last=False)
        return text

    def _is_cut_short(self, item_id: str, wanted: int) -> bool:
        """Tell whether less was heard of an item than there is: push to talk, a client's own item, a very long turn."""
        utterance = self._utterances.get(item_id)
        # The resampler holds back less than a millisecond; a turn may end up to a frame before what was heard.
        return utterance is None or utterance.samples < wanted - HEARING_RATE_HZ // 50

    def _heard(self, item_id: str, whole: bytes, wanted: int) -> Utterance:
        """Return the item's utterance as it was heard, or make it of `whole`, all of its audio at 16 kHz."""
        utterance = self.hear(item_id, AudioFrame(b"", CORE_RATE_HZ))
        if self._is_cut_short(item_id, wanted):  # another who asked may have made it meanwhile
            # Not by `push`, which keeps the last two minutes: all of a longer turn is wanted here.
            utterance.pcm, utterance.resampler = bytearray(whole), Resampler(CORE_RATE_HZ, HEARING_RATE_HZ)
            utterance.settled, utterance.settled_samples = [], 0
            utterance.partial, utterance.partial_samples = "", 0
        return utterance

    def _partial_holds(self, utterance: Utterance, wanted: int) -> bool:
        """Tell whether the last partial saw the last word end: it reached into the pause, and nothing came since."""
        seen = utterance.partial_samples - _PAUSE_SAMPLES
        return bool(utterance.partial) and seen > 0 and _is_silent(utterance, seen, wanted)

    def _still_holds(self, utterance: Utterance, final: _Final, wanted: int) -> bool:
        if final.task.done() and (final.task.cancelled() or final.task.exception() is not None):
            return False
        return wanted <= final.samples or _is_silent(utterance, final.samples, wanted)

    async def _transcribe(self, utterance: Utterance, wanted: int) -> str:
        words = list(utterance.settled)
        start = utterance.settled_samples
        while wanted - start > SEGMENT_S * HEARING_RATE_HZ:
            end = _quietest(utterance, start)
            words.append(await self._models.transcribe(self._session_id, _slice(utterance, start, end)))
            start = end
        words.append(await self._models.transcribe(self._session_id, _slice(utterance, start, wanted)))
        return joined(words)

    async def _settle_segment(self, utterance: Utterance) -> bool:
        """Write the first open segment down for good. False: the models had something more urgent to do."""
        start = utterance.settled_samples
        end = _quietest(utterance, start)
        text = await self._models.transcribe(self._session_id, _slice(utterance, start, end), partial=True)
        if text and utterance.settled_samples == start:
            utterance.settled.append(text)
            utterance.settled_samples = end
        return bool(text)

    def _forget(self, item_id: str) -> None:
        utterance = self._utterances.pop(item_id, None)
        if utterance is not None and utterance.final is not None and utterance.final.waiting == 0:
            utterance.final.task.cancel()


async def _converted(pcm_24k: bytes) -> bytes:
    """Return audio at 16 kHz; a quarter of an hour takes 200 ms, so long runs are a thread's work."""

    def convert() -> bytes:
        resampler = Resampler(CORE_RATE_HZ, HEARING_RATE_HZ)
        return resampler.process(pcm_24k) + resampler.flush()

    return convert() if len(pcm_24k) <= _INLINE_BYTES else await asyncio.to_thread(convert)


async def _shared(final: _Final) -> str:
    final.waiting += 1
    try:
        return await asyncio.shield(final.task)
    finally:
        final.waiting -= 1
        if final.waiting == 0 and not final.task.done():
            final.task.cancel()


def joined(texts: list[str]) -> str:
    """Return the words of segments as one text."""
    return " ".join(text.strip() for text in texts if text.strip())


def _slice(utterance: Utterance, start: int, stop: int | None = None) -> bytes:
    return bytes(utterance.pcm[start * SAMPLE_BYTES : None if stop is None else stop * SAMPLE_BYTES])


def _levels(pcm: bytes) -> npt.NDArray[np.float32]:
    """Return the effective value of each whole 20 ms."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    whole = samples[: len(samples) // _WINDOW_SAMPLES * _WINDOW_SAMPLES].reshape(-1, _WINDOW_SAMPLES)
    levels: npt.NDArray[np.float32] = np.sqrt(np.mean(whole * whole, axis=1, dtype=np.float32))
    return levels


def _is_silent(utterance: Utterance, start: int, stop: int) -> bool:
    added = _levels(_slice(utterance, start + _FILTER_TAIL_SAMPLES, stop))
    if not len(added):
        return True
    loudest = float(_levels(_slice(utterance, 0, start)).max(initial=0.0))
    return float(added.max()) <= max(_SILENCE_FLOOR, loudest * _SILENCE_RATIO)


def _quietest(utterance: Utterance, start: int) -> int:
    """Return where to cut the segment that begins at `start`: in its last seconds, where it is quietest for 200 ms."""
    stop = start + SEGMENT_S * HEARING_RATE_HZ
    begin = stop - _SEARCH_S * HEARING_RATE_HZ
    levels = _levels(_slice(utterance, begin, stop))
    smooth = np.convolve(levels, np.ones(10) / 10, mode="valid")
    return begin + (int(smooth.argmin()) + 5) * _WINDOW_SAMPLES
