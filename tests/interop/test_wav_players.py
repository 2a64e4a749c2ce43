"""The WAV files that are streamed, without a length, as other programs take them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from voice.audio.files import encode

SPEECH = bytes(range(256)) * 100


@pytest.mark.parametrize("source", ["speech.wav", "-"])
def test_sox_takes_speech_of_unknown_length_without_a_word(tmp_path: Path, source: str) -> None:
    sox = shutil.which("sox")
    if sox is None:
        pytest.skip("sox is not installed")
    content = encode(SPEECH, "wav")
    (tmp_path / "speech.wav").write_bytes(content)
    command = [sox, "-t", "wav", source, "-t", "raw", "-"]
    done = subprocess.run(command, cwd=tmp_path, input=content, capture_output=True, check=True, timeout=30)
    assert done.stderr == b""
    assert done.stdout == SPEECH
