"""What was said and how much of it was heard: the map from played milliseconds to spoken words.

An engine gives the words of a clause before the audio that speaks them, so a clause starts where the audio stood
when its words came. Cutting the audio at `played_ms` then tells which words the caller heard:

    words  |the table is|  booked for   | seven |
    audio  0 ......... 600 ......... 1300 .... 1700 ms        cut at 1000 ms: "the table is booked"
"""

import re
from dataclasses import dataclass, field, replace

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES
from voice.session.items import AudioPart
from voice.session.runs import append_run

_WORD = re.compile(r"\s*\S+")


@dataclass(slots=True)
class SpokenPart:
    """The audio of one content part while it is generated."""

    _runs: list[bytes | bytearray] = field(default_factory=list)
    """24 kHz."""
    samples: int = 0
    """Length so far, at 24 kHz."""
    _texts: list[str] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)

    @property
    def transcript(self) -> str:
        """All words so far."""
        return "".join(self._texts)

    def add_text(self, text: str) -> None:
        """Take the next words; the audio that follows speaks them."""
        if self._starts and self._starts[-1] == self.samples:
            self._texts[-1] += text
        else:
            self._texts.append(text)
            self._starts.append(self.samples)

    def add_audio(self, pcm: bytes) -> None:
        """Take the next run of speech."""
        append_run(self._runs, pcm)
        self.samples += len(pcm) // SAMPLE_BYTES

    def freeze(self) -> AudioPart:
        """Return the part as it stands, for the conversation."""
        return AudioPart(
            pcm=b"".join(self._runs),
            duration_ms=self.samples * 1000 // CORE_RATE_HZ,
            transcript=self.transcript,
            clauses=tuple(zip(self._texts, self._starts, strict=True)),
        )


def heard_words(part: AudioPart, played_ms: int) -> str:
    """Return the words heard within the first `played_ms`; of a clause in progress, its share of whole words."""
    played = played_ms * CORE_RATE_HZ // 1000
    total = part.duration_ms * CORE_RATE_HZ // 1000
    heard = ""
    for index, (text, start) in enumerate(part.clauses):
        end = part.clauses[index + 1][1] if index + 1 < len(part.clauses) else total
        if end <= start or played <= start:
            break  # its audio has not come, or was not reached
        if played < end:
            words = _WORD.findall(text)
            heard += "".join(words[: int(len(words) * (played - start) / (end - start))])
            break
        heard += text
    return heard.strip()


def truncate(part: AudioPart, played_ms: int) -> AudioPart:
    """Cut agent speech where the caller stopped hearing it: the transcript goes (contract 4.7), `heard` stays."""
    keep_bytes = played_ms * CORE_RATE_HZ // 1000 * SAMPLE_BYTES
    return replace(
        part,
        pcm=part.pcm[:keep_bytes],
        duration_ms=played_ms,
        transcript=None,
        heard=heard_words(part, played_ms),
        truncated=True,
    )
