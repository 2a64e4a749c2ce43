import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from voice.models import fetch, manifest
from voice.models.weights import Model, ModelFile, Source


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(manifest.CACHE_ENV, str(folder))
    return folder


MakeModel = Callable[..., Model]


@pytest.fixture
def make_model(cache: Path, monkeypatch: pytest.MonkeyPatch) -> MakeModel:
    """Put a made-up model into the manifest: `make_model({"a.bin": b"..."}, sources)`."""

    def make(contents: dict[str, bytes], *sources: Source, name: str = "toy") -> Model:
        files = tuple(ModelFile(file, len(data), hashlib.sha256(data).hexdigest()) for file, data in contents.items())
        model = Model(name, "language-model", "A toy", "MIT", files, sources)
        for module in (manifest, fetch):
            monkeypatch.setattr(module, "MODELS", {name: model})
        return model

    return make
