"""Calls from a real phone program: what baresip's own recording tells of words, of delays and of talking over.

    baresip     ── greeting played out ─────── question ────────────── answer ──      calls for words and delay
    baresip     ── greeting begins ── talks over it ── silence? ──                    calls for barge-in

The service runs with the embedded models. What baresip sent and what it heard are written by its `sndfile` module. The
word error rate is that of the greeting, which is known word for word, as the service's own speech-to-text hears it in
the recording: errors of the line, of the voice and of the ear together.

    python -m bench.sip_call --calls 5
"""

import asyncio
import shutil
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from openai import OpenAI

from bench.harness import Outcome, emit, parser, percentile, progress, say
from bench.words import normalise, word_errors
from voice.audio.resample import Resampler
from voice.talk.service import ServiceProcess, free_port

RATE_HZ = 8_000
GREETING = (
    "Hello, and thank you for calling Casa Verde, the restaurant by the old fish market. We are open from Tuesday to "
    "Sunday, and we are always glad to see our guests. You can ask me about the menu, about the terrace, or book a "
    "table for you and your friends. How can I help you today?"
)
QUESTIONS = ("Are you open on Sunday evening?", "Do you have a table on the terrace?", "What can I eat there?")
INTERRUPTION = "Excuse me, I have a question about something else."
CONFIG = f"""
agents:
  desk:
    greeting: "{GREETING}"
    instructions: You answer the phone of a restaurant. Answer in one short sentence.
default_agent: desk
sip: {{enabled: true}}
log: {{level: warning}}
"""
_WINDOW = RATE_HZ // 100
_LOUD_DBFS = -42.0
_GREETING_S = 22.0

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Recorded:
    """Both directions of one call as the phone wrote them, 8 kHz."""

    sent: Samples
    heard: Samples


def narrow(text: str) -> Samples:
    """Return speech at 8 kHz."""
    return np.frombuffer(Resampler(24_000, RATE_HZ).process(say(text).pcm), "<i2")


def silence(seconds: float) -> Samples:
    """Return silence."""
    return np.zeros(int(seconds * RATE_HZ), "<i2")


def dial(port: int, microphone: Samples) -> Recorded:
    """Call with baresip, which says `microphone` and hangs up at its end."""
    folder = Path(tempfile.mkdtemp(prefix="voice-baresip-"))
    try:
        _write(folder / "mic.wav", np.concatenate([microphone, silence(5)]))
        modules = "".join(f"module {name}.so\n" for name in ("g711", "aufile", "sndfile"))
        (folder / "config").write_text(
            f"poll_method epoll\nsip_listen 127.0.0.1:{free_port()}\nnet_interface 127.0.0.1\n"
            f"audio_source aufile,{folder}/mic.wav\nausrc_srate {RATE_HZ}\nauplay_srate {RATE_HZ}\n"
            f"ausrc_channels 1\nauplay_channels 1\nmodule_path /usr/lib/baresip/modules\n{modules}"
            f"module_tmp account.so\nmodule_app menu.so\nsnd_path {folder}\n"
        )
        (folder / "accounts").write_text("<sip:phone@127.0.0.1>;regint=0;audio_codecs=PCMU/8000/1\n")
        (folder / "contacts").write_text("")
        seconds = len(microphone) // RATE_HZ
        command = ["baresip", "-4", "-f", str(folder), "-e", f"/dial sip:desk@127.0.0.1:{port}", "-t", str(seconds)]
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, timeout=seconds + 30
        )
        return Recorded(_read(next(folder.glob("dump-*-enc.wav"))), _read(next(folder.glob("dump-*-dec.wav"))))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, samples: Samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.tobytes())


def _read(path: Path) -> Samples:
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def loud(samples: Samples) -> npt.NDArray[np.bool_]:
    """Return for every 10 ms whether there is sound in it."""
    windows = samples[: len(samples) // _WINDOW * _WINDOW].reshape(-1, _WINDOW).astype(float)
    level = 20 * np.log10(np.sqrt(np.mean(windows**2, axis=1)) / 32768 + 1e-9)
    return np.asarray(level > _LOUD_DBFS)


def delay_ms(call: Recorded) -> float | None:
    """Return the time from the end of the question to the beginning of its answer; None without an answer."""
    ours, theirs = loud(call.sent), loud(call.heard)
    end = int(np.flatnonzero(ours)[-1])
    after = np.flatnonzero(theirs[end:])
    return None if not len(after) else float(after[0]) * 10


def stop_ms(call: Recorded) -> float | None:
    """Return the time from the onset of talking over to the last sound before a silence of 300 ms.

    None where the agent was between two sentences just then, and nothing was there to be stopped.
    """
    ours, theirs = loud(call.sent), loud(call.heard)
    onset = int(np.flatnonzero(ours)[0])
    if not theirs[max(0, onset - 10) : onset].any() or not theirs[onset : onset + 10].any():
        return None
    for at in range(onset, len(theirs) - 30):
        if not theirs[at : at + 30].any():
            return float(at - onset) * 10
    return None


def errors_in(service: ServiceProcess, heard: Samples) -> tuple[int, int]:
    """Return word errors of the greeting in a recording, and how many words it has."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "heard.wav")
        _write(path, heard)
        client = OpenAI(api_key="none", base_url=f"{service.http_url}/v1")
        with path.open("rb") as file:
            text = client.audio.transcriptions.create(model="whisper-1", file=file).text
    return word_errors(GREETING, text), min(len(words) for words in normalise(GREETING))


async def measure(calls: int) -> Outcome:
    """Call again and again."""
    outcome = Outcome(
        "calls from baresip", ("call", "word errors", "voice to voice ms", "talking over stops it after ms")
    )
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="voice-bench-"))
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    environment = {"VOICE__SIP__PORT": str(port)}
    errors = words = 0
    delays: list[float] = []
    stops: list[float] = []
    try:
        with ServiceProcess("--config", str(folder / "config.yaml"), environment=environment) as service:
            for number in range(calls):
                progress(f"call {number + 1} of {calls}")
                question = narrow(QUESTIONS[number % len(QUESTIONS)])
                asked = dial(port, np.concatenate([silence(_GREETING_S), question, silence(5)]))
                wrong, of = errors_in(service, asked.heard[: int((_GREETING_S - 0.5) * RATE_HZ)])
                errors, words = errors + wrong, words + of
                delay = delay_ms(asked)
                cut = dial(port, np.concatenate([silence(4 + number % 4), narrow(INTERRUPTION), silence(2)]))
                stop = stop_ms(cut)
                delays += [delay] if delay is not None else []
                stops += [stop] if stop is not None else []
                shown = ("-" if value is None else f"{value:.0f}" for value in (delay, stop))
                outcome.rows.append((number + 1, f"{wrong} of {of}", *shown))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    outcome.figures |= {
        "word_error_rate": round(errors / max(1, words), 4),
        "voice_to_voice_ms_p50": percentile(delays, 0.5) if delays else None,
        "stops_ms_p50": percentile(stops, 0.5) if stops else None,
        "stops_ms_max": max(stops) if stops else None,
        "answered": len(delays),
        "stopped": len(stops),
    }
    outcome.notes.append(", ".join(f"{name} {value}" for name, value in outcome.figures.items()))
    outcome.notes.append("times are baresip's recordings': sent and heard begin within a packet or two of each other")
    return outcome


def main() -> None:
    """Run from the command line."""
    options = parser(__doc__)
    options.add_argument("--calls", type=int, default=5, help="calls of each kind")
    chosen = options.parse_args()
    if shutil.which("baresip") is None:
        raise SystemExit("baresip is not installed: `make peers`")
    emit(asyncio.run(measure(chosen.calls)), chosen.json)


if __name__ == "__main__":
    main()
