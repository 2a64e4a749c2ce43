"""`voice conformance` on the command line, as far as it needs no server."""

import builtins

from voice.cli import main
from voice.conformance import types_check


def test_flows_are_listed(capsys) -> None:
    assert main(["conformance", "--list", "--only", "text"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["text", "text", "turn"]
    assert all(line.startswith("text ") for line in lines)


def test_a_flow_that_nobody_has_is_one_sentence(capsys) -> None:
    assert main(["conformance", "--only", "nonsense"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("voice: there is no flow or family 'nonsense'; --list shows")
    assert error.count("\n") == 1


def test_without_the_sdk_the_kit_goes_on(monkeypatch) -> None:
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.partition(".")[0] == "openai":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert types_check.load() is None
    assert types_check.version() is None


def test_the_types_find_what_the_sdk_itself_lets_pass() -> None:
    check = types_check.load()
    assert check is not None
    frame = {"type": "response.output_text.delta", "event_id": "e", "response_id": "r", "item_id": "i"}
    assert check({**frame, "output_index": 0, "content_index": 0, "delta": "x"}) == []
    assert check({**frame, "output_index": 0, "content_index": 0, "delta": "x", "obfuscation": "abc"}) == []
    assert "output_index" in check({**frame, "output_index": "0", "content_index": 0, "delta": "x"})[0]
    assert "content_index" in check({**frame, "output_index": 0, "delta": "x"})[0]
    assert "no type names" in check({**frame, "output_index": 0, "content_index": 0, "delta": "x", "more": 1})[0]
