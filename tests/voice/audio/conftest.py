import json
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from voice.errors import ModelError
from voice.models.manifest import find

RECORDINGS = Path(__file__).parents[4] / "shared" / "audio"


@pytest.fixture(scope="session")
def silero_path() -> Path:
    """The judge's weights."""
    try:
        return find("silero-vad")
    except ModelError as error:
        pytest.skip(f"needs the Silero model: {error.command}")


@pytest.fixture(scope="session")
def recordings() -> dict[str, npt.NDArray[np.float64]]:
    """Real speech by name, 16 kHz, in units of a 16-bit sample."""
    if not (RECORDINGS / "manifest.json").is_file():
        pytest.skip(f"needs the recordings in {RECORDINGS}")
    speech = {}
    for entry in json.loads((RECORDINGS / "manifest.json").read_text()):
        with wave.open(str(RECORDINGS / f"{entry['id']}.wav")) as file:
            pcm = file.readframes(file.getnframes())
        speech[entry["id"]] = np.frombuffer(pcm, "<i2").astype(np.float64)
    return speech
