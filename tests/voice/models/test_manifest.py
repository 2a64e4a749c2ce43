from collections.abc import Callable
from pathlib import Path

import pytest

from voice.errors import ModelDamaged, ModelMissing
from voice.models import manifest
from voice.models.weights import MODELS, HubSource, Model

WEIGHTS = b"the weights"


def put(cache: Path, model: Model, data: bytes = WEIGHTS) -> Path:
    path = cache / model.name / model.files[0].name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def toy(make_model: Callable[..., Model]) -> Model:
    return make_model({"toy.gguf": WEIGHTS})


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose digest was computed."""
    seen: list[Path] = []
    real = manifest.digest

    def counted(path: Path, progress: Callable[[int], None] | None = None) -> str:
        seen.append(path)
        return real(path, progress)

    monkeypatch.setattr(manifest, "digest", counted)
    return seen


def test_a_model_of_one_file_is_that_file(cache: Path, toy: Model) -> None:
    path = put(cache, toy)
    assert manifest.find("toy") == path


def test_a_model_of_several_files_is_their_folder(cache: Path, make_model: Callable[..., Model]) -> None:
    make_model({"a": b"1", "b": b"2"})
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "a").write_bytes(b"1")
    (cache / "toy" / "b").write_bytes(b"2")
    assert manifest.find("toy") == cache / "toy"


def test_a_missing_model_names_the_command_that_helps(toy: Model) -> None:
    with pytest.raises(ModelMissing, match="toy is not on this machine") as raised:
        manifest.find("toy")
    assert raised.value.command == "voice models fetch toy"


def test_an_unknown_name_lists_the_known_ones(toy: Model) -> None:
    with pytest.raises(ModelMissing, match="Known are toy"):
        manifest.find("tyo")


def test_a_file_of_another_length_is_damaged(cache: Path, toy: Model, reads: list[Path]) -> None:
    put(cache, toy, WEIGHTS + b"!")
    with pytest.raises(ModelDamaged) as raised:
        manifest.find("toy")
    assert raised.value.command == "voice models fetch toy"
    assert reads == []


def test_a_file_of_the_same_length_with_other_bytes_is_damaged(cache: Path, toy: Model) -> None:
    put(cache, toy, WEIGHTS[::-1])
    with pytest.raises(ModelDamaged, match="digest is not the official one"):
        manifest.find("toy")


def test_a_second_start_reads_no_weights(cache: Path, toy: Model, reads: list[Path]) -> None:
    put(cache, toy)
    manifest.find("toy")
    manifest.find("toy")
    assert len(reads) == 1


def test_a_file_changed_since_its_check_is_read_again(cache: Path, toy: Model) -> None:
    path = put(cache, toy)
    manifest.find("toy")
    path.write_bytes(WEIGHTS[::-1])
    with pytest.raises(ModelDamaged):
        manifest.find("toy")


def test_a_damaged_stamp_costs_only_a_full_check(cache: Path, toy: Model, reads: list[Path]) -> None:
    path = put(cache, toy)
    path.with_name("toy.gguf.checked").write_bytes(b"{")
    assert manifest.find("toy") == path
    assert len(reads) == 1


def test_verify_reads_every_byte_even_with_a_stamp(cache: Path, toy: Model) -> None:
    put(cache, toy)
    manifest.find("toy")
    counted: list[int] = []
    manifest.verify("toy", counted.append)
    assert sum(counted) == len(WEIGHTS)


def test_verify_finds_what_the_stamp_hides(cache: Path, toy: Model) -> None:
    path = put(cache, toy)
    manifest.find("toy")
    path.write_bytes(WEIGHTS[::-1])
    manifest.stamp(path, toy.files[0].sha256)
    with pytest.raises(ModelDamaged):
        manifest.verify("toy")
    with pytest.raises(ModelDamaged):
        manifest.find("toy")


def test_verify_of_a_missing_model_says_so(toy: Model) -> None:
    with pytest.raises(ModelMissing):
        manifest.verify("toy")


def test_the_users_own_file_is_taken_as_it_is(tmp_path: Path, toy: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"anything")
    assert manifest.find("toy", own) == own
    assert manifest.find(str(own)) == own
    monkeypatch.setenv("VOICE_MODEL_TOY", str(own))
    assert manifest.find("toy") == own
    assert [status.state for status in manifest.statuses()] == ["own"]


def test_an_own_file_that_is_not_there_is_named(tmp_path: Path, toy: Model) -> None:
    with pytest.raises(ModelMissing, match=r"own\.gguf does not exist"):
        manifest.find(str(tmp_path / "own.gguf"))


def test_statuses_tell_missing_damaged_and_present_apart(cache: Path, toy: Model) -> None:
    [missing] = manifest.statuses()
    put(cache, toy, b"x")
    [damaged] = manifest.statuses()
    put(cache, toy)
    [present] = manifest.statuses()
    assert [missing.state, damaged.state, present.state] == ["missing", "damaged", "present"]
    assert "Type: voice models fetch toy" in missing.hint
    assert present.hint == ""


def test_a_model_inside_a_dependency_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model("inside", "text-to-speech", "x", "MIT", dependency="no_such_package_xyz", extra="embedded")
    monkeypatch.setattr(manifest, "MODELS", {"inside": model})
    with pytest.raises(ModelMissing) as raised:
        manifest.find("inside")
    assert raised.value.command == "pip install 'realtime-voice-agent[embedded]'"


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_every_model_of_the_manifest_is_complete(model: Model) -> None:
    assert model.licence
    assert bool(model.files) != bool(model.dependency)
    assert bool(model.sources) == bool(model.files)
    for file in model.files:
        assert len(file.sha256) == 64
        assert file.size_bytes > 0
    for source in model.sources:
        if isinstance(source, HubSource):
            assert len(source.urls) == len(model.files)
        else:
            assert all(len(package.members) == len(model.files) for package in source.packages)
