"""The sentence that the kit says: a file of the user's, or the embedded voice. The kit ships no recording."""

from pathlib import Path

import numpy as np

from voice.talk.recording import Recording, from_samples, load

SENTENCE = "Hello there, can you hear me?"


def find_speech(path: Path | None) -> Recording | None:
    """Return the sentence; None where no file was given and the embedded voice is not installed.

    Raises: RecordingError for a file that is no recording.
    """
    return load(path) if path is not None else _synthesised()


def _synthesised() -> Recording | None:
    try:
        from hibari import Hibari
    except ImportError:
        return None
    samples = np.asarray(Hibari()(SENTENCE, seed=0), dtype=np.float64)
    return from_samples("the embedded voice", samples)
