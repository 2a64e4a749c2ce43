"""Word error rate through the whole service: as 24 kHz PCM and as μ-law, by push to talk and by voice activity.

Takes a folder with WAV files and a `manifest.json`: a list of `{"id": file name without .wav, "text": words}`.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from bench.harness import Outcome, emit, parser, progress
from voice.talk.client import Caller, CallerOptions
from voice.talk.errors import ServiceSilent
from voice.talk.microphone import WireFormat
from voice.talk.recording import Recording, load
from voice.talk.service import ServiceProcess

SILENCES_MS = (None, 200, 500)
"""How turns end: by hand, or after so much silence. 200 ms is the default; pauses inside a sentence may be longer."""

QUIET_S = 2.5
"""After the recording, and since the last sign of speech: nothing more will come."""

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ALIKE = {
    "oh": "zero",
    "o": "zero",
    "metres": "meters",
    "metre": "meter",
    "ok": "okay",
    "mr": "mister",
    "mrs": "missis",
}


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording and what is said in it."""

    recording: Recording
    text: str


def main() -> None:
    """Run it."""
    options = parser(__doc__)
    options.add_argument("folder", type=Path, help="WAV files and manifest.json")
    options.add_argument("--url", help="a running service instead of one of its own")
    options.add_argument("--model", default="gpt-realtime", help="alias to ask for: a session without greeting")
    options.add_argument("--concurrency", type=int, default=2, help="calls at a time")
    options.add_argument("--show", action="store_true", help="print every clip that differs")
    given = options.parse_args()
    manifest = json.loads((given.folder / "manifest.json").read_text(encoding="utf-8"))
    clips = [Clip(load(given.folder / f"{entry['id']}.wav"), entry["text"]) for entry in manifest]
    outcome = Outcome("word error rate through the service", ("wire", "turns by", "words", "errors", "WER %"))
    with _service(given.url) as url:
        wires: tuple[WireFormat, ...] = ("audio/pcm", "audio/pcmu")
        for wire, silence_ms in product(wires, SILENCES_MS):
            call = CallerOptions(
                url, given.model, wire=wire, push_to_talk=silence_ms is None, session=listening(silence_ms)
            )
            heard = asyncio.run(hear_all(call, clips, given.concurrency))
            words, errors = score(clips, heard, given.show)
            by = "push_to_talk" if silence_ms is None else f"server_vad, {silence_ms} ms"
            outcome.rows.append((wire, by, words, errors, 100 * errors / words))
            outcome.figures[f"{wire} {by}"] = {"words": words, "errors": errors, "wer_percent": 100 * errors / words}
    outcome.notes.append("at the pace of speech; numbers compared in the spoken form that fits best")
    emit(outcome, given.json)


@contextmanager
def _service(url: str | None) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with ServiceProcess("--engine", "cascade", ready_timeout_s=120) as service:
        yield service.url


async def hear_all(options: CallerOptions, clips: list[Clip], concurrency: int) -> list[str]:
    room = asyncio.Semaphore(concurrency)

    async def one(clip: Clip) -> str:
        async with room:
            return await hear(options, clip.recording)

    return list(await asyncio.gather(*(one(clip) for clip in clips)))


def listening(silence_ms: int | None) -> dict[str, Any]:
    """Return the session's configuration: turns that end after so much silence, and no answers."""
    if silence_ms is None:
        return {}
    detection = {"type": "server_vad", "silence_duration_ms": silence_ms, "create_response": False}
    return {"audio": {"input": {"turn_detection": detection}}}


async def hear(options: CallerOptions, recording: Recording) -> str:
    """Return the service's transcript of a recording."""
    async with Caller(options) as caller:
        turn = caller.say(recording)
        await caller.utterances[-1].spoken.wait()
        try:
            if options.push_to_talk:
                await caller.send({"type": "input_audio_buffer.commit"})
                await caller.wait_for(lambda: turn.transcript_s is not None, 30, f"a transcript of {recording.name}")
            else:
                await asyncio.sleep(QUIET_S)
                await caller.wait_for(lambda: _settled(caller), 30, f"a transcript of {recording.name}")
        except ServiceSilent as error:
            progress(str(error))
        return turn.transcript


def _settled(caller: Caller) -> bool:
    """True when every stretch of speech that began has its transcript."""
    kinds = [event["type"] for _, event in caller.events]
    ended = kinds.count("conversation.item.input_audio_transcription.completed")
    ended += kinds.count("conversation.item.input_audio_transcription.failed")
    return ended >= kinds.count("input_audio_buffer.speech_started")


def score(clips: list[Clip], heard: list[str], show: bool) -> tuple[int, int]:
    words = errors = 0
    for clip, transcript in zip(clips, heard, strict=True):
        wrong = word_errors(clip.text, transcript)
        words += len(normalise(clip.text)[0])
        errors += wrong
        if wrong and show:
            progress(f"{wrong} wrong in {clip.recording.name}: {clip.text!r} / {transcript!r}")
    return words, errors


def word_errors(reference: str, transcript: str) -> int:
    """Return the fewest substitutions, deletions and insertions, over the ways in which numbers can be spoken."""
    wanted = normalise(reference)[0]
    return min(_distance(wanted, spoken) for spoken in normalise(transcript))


def normalise(text: str) -> list[list[str]]:
    """Return a text as lower-case words without punctuation, once for each way to speak its numbers."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower().replace("-", " ").replace("'", "").replace("\u2019", ""))
    tokens = re.findall(r"[a-z]+|\d+", text)
    readings = []
    for read in (_digits, _cardinal, _pairs):
        words = [word for token in tokens for word in (read(token) if token.isdigit() else [token])]
        readings.append([_ALIKE.get(word, word) for word in words])
    return readings


def _digits(number: str) -> list[str]:
    return [_UNITS[int(digit)] for digit in number]


def _pairs(number: str) -> list[str]:
    """Speak a number as years are spoken: 1813 is eighteen thirteen."""
    if len(number) != 4:
        return _cardinal(number)
    tail = _below_hundred(int(number[2:])) if number[2:] != "00" else ["hundred"]
    return _below_hundred(int(number[:2])) + tail


def _cardinal(number: str) -> list[str]:
    value = int(number)
    if value < 100:
        return _below_hundred(value)
    if value < 1000:
        rest = _below_hundred(value % 100) if value % 100 else []
        return [_UNITS[value // 100], "hundred", *rest]
    if value < 1_000_000:
        rest = _cardinal(str(value % 1000)) if value % 1000 else []
        return [*_cardinal(str(value // 1000)), "thousand", *rest]
    return _digits(number)


def _below_hundred(value: int) -> list[str]:
    if value < 20:
        return [_UNITS[value]]
    return [_TENS[value // 10], *([_UNITS[value % 10]] if value % 10 else [])]


def _distance(wanted: list[str], heard: list[str]) -> int:
    row = list(range(len(heard) + 1))
    for index, word in enumerate(wanted, 1):
        previous, row[0] = row[0], index
        for column, other in enumerate(heard, 1):
            previous, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, previous + (word != other))
    return row[-1]


if __name__ == "__main__":
    main()
