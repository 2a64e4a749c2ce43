"""Moonshine on onnxruntime: 16 kHz speech to English text, greedily, in a few milliseconds a word.

The model takes the raw waveform. The encoder runs once; the decoder runs once per token and hands its keys and values
back: those of its own attention grow by one token, those over the encoder's output are computed in the first step and
reused (`use_cache_branch`).

It speaks on silence and on noise ("Thank you."): feed it nothing that voice activity detection has not passed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

RATE_HZ = 16_000
_MIN_SAMPLES = RATE_HZ // 10
"""Shorter than any word; the encoder's convolutions need about half of it."""
_MAX_PIECE_SAMPLES = 28 * RATE_HZ
"""The model was trained on utterances of up to about half a minute; longer audio is cut where it is quietest."""
_CUT_SEARCH_SAMPLES = 6 * RATE_HZ
_CUT_WINDOW_SAMPLES = RATE_HZ // 50
_MAX_TOKENS_PER_S = 6.5
"""Faster than anyone speaks: what goes beyond it is the decoder repeating itself."""
_SPARE_TOKENS = 6
_START_TOKEN, _END_TOKEN = 1, 2
_WORD_MARK = "▁"

Samples = npt.NDArray[np.float32]


class SpeechToText:
    """One loaded model, used by one thread at a time."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        """Load from a folder with `encoder_model.ort`, `decoder_model_merged.ort` and `tokenizer.bin`.

        `threads`: of onnxruntime, without spinning, so that an idle model costs nothing.
        """
        self._encoder = _session(folder / "encoder_model.ort", threads)
        self._decoder = _session(folder / "decoder_model_merged.ort", threads)
        self._pieces = _read_pieces((folder / "tokenizer.bin").read_bytes())
        self._takes_mask = "encoder_attention_mask" in {entry.name for entry in self._decoder.get_inputs()}
        self._encoder_takes_mask = "attention_mask" in {entry.name for entry in self._encoder.get_inputs()}
        past = [entry for entry in self._decoder.get_inputs() if entry.name.startswith("past_key_values")]
        _, heads, _, head_size = past[0].shape
        empty = np.zeros((1, heads, 0, head_size), np.float32)
        self._no_past: dict[str, Any] = {entry.name: empty for entry in past}
        outputs = [entry.name for entry in self._decoder.get_outputs()]
        self._logits = outputs[0]
        self._present = outputs[1:]
        self._present_own = [name for name in self._present if ".decoder." in name]
        self.transcribe(bytes(2 * RATE_HZ))  # The first run is slow: let it not be a caller's.

    def transcribe(self, pcm: bytes, *, stopped: Callable[[], bool] = lambda: False) -> str:
        """Write down 16 kHz PCM of any length; "" for less than 0.1 s.

        `stopped` is asked before each token; when it says so, the text so far is returned.
        """
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32_768.0
        texts = [self._transcribe_piece(piece, stopped) for piece in _cut(samples)]
        return " ".join(text for text in texts if text)

    def _transcribe_piece(self, samples: Samples, stopped: Callable[[], bool]) -> str:
        mask = np.ones((1, len(samples)), np.int64)
        feed: dict[str, Any] = {"input_values": samples[None]}
        if self._encoder_takes_mask:
            feed["attention_mask"] = mask
        [hidden] = self._encoder.run(None, feed)
        fixed: dict[str, Any] = {"encoder_hidden_states": hidden}
        if self._takes_mask:
            fixed["encoder_attention_mask"] = mask
        limit = int(len(samples) / RATE_HZ * _MAX_TOKENS_PER_S) + _SPARE_TOKENS
        return self._text(self._decode(fixed, limit, stopped))

    def _decode(self, fixed: dict[str, Any], limit: int, stopped: Callable[[], bool]) -> list[int]:
        """Take the most likely token until the end token; returns the tokens between start and end."""
        tokens: list[int] = []
        past = dict(self._no_past)
        token = _START_TOKEN
        while len(tokens) < limit and not stopped():
            first = not tokens
            wanted = self._present if first else self._present_own
            feed = {"input_ids": np.array([[token]], np.int64), "use_cache_branch": np.array([not first])}
            logits, *present = self._decoder.run([self._logits, *wanted], feed | fixed | past)
            past.update({_past_name(name): value for name, value in zip(wanted, present, strict=True)})
            token = int(logits[0, -1].argmax())
            if token == _END_TOKEN:
                break
            tokens.append(token)
        return tokens

    def _text(self, tokens: list[int]) -> str:
        text = b"".join(self._pieces[token] for token in tokens if token > _END_TOKEN).decode("utf-8", "replace")
        return text.replace(_WORD_MARK, " ").strip()


def _past_name(present: str) -> str:
    return present.replace("present", "past_key_values", 1)


def _session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _read_pieces(table: bytes) -> list[bytes]:
    """Read the tokenizer: per token its length and its bytes; a length of 128 and more takes two bytes, low part first.

    Raises: ValueError, if the table ends inside a token.
    """
    pieces: list[bytes] = []
    at = 0
    while at < len(table):
        length = table[at]
        at += 1
        if length >= 0x80:
            if at == len(table):
                raise ValueError("the tokenizer's table ends inside a length")
            length = length - 0x80 + table[at] * 0x80
            at += 1
        if at + length > len(table):
            raise ValueError("the tokenizer's table ends inside a token")
        pieces.append(table[at : at + length])
        at += length
    return pieces


def _cut(samples: Samples) -> list[Samples]:
    """Cut audio into pieces that the model can take, each at the quietest 20 ms of its last seconds."""
    pieces = []
    while len(samples) > _MAX_PIECE_SAMPLES:
        start = _MAX_PIECE_SAMPLES - _CUT_SEARCH_SAMPLES
        windows = samples[start:_MAX_PIECE_SAMPLES].reshape(-1, _CUT_WINDOW_SAMPLES)
        quietest = int(np.square(windows).sum(axis=1).argmin())
        end = start + quietest * _CUT_WINDOW_SAMPLES + _CUT_WINDOW_SAMPLES // 2
        pieces.append(samples[:end])
        samples = samples[end:]
    if len(samples) >= _MIN_SAMPLES:
        pieces.append(samples)
    return pieces
