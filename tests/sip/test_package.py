"""The library keeps its promises: it decides and never waits, and its front page works."""

import ast
from pathlib import Path

import pytest

import sip
from sip.effects import AckArrived, RequestArrived, SendMessage
from sip.message import Rejection, Request
from sip.parser import parse_datagram
from sip.transaction import TransactionTable

SHELLS = {"endpoint", "streams", "connection", "datagrams", "routes"}
MODULES = sorted(path for path in Path(sip.__file__).parent.glob("*.py") if path.stem not in SHELLS)
IMPURE = {"asyncio", "selectors", "socket", "ssl", "time", "threading", "concurrent", "subprocess", "os", "datetime"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_touches_clock_or_socket(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.partition(".")[0] for name in names} & IMPURE


def test_the_loop_of_the_front_page(make_request) -> None:
    table = TransactionTable()
    sent: list[bytes] = []
    for data in (b"junk", make_request("OPTIONS").encode(), make_request("OPTIONS").encode()):
        message = parse_datagram(data)
        if isinstance(message, Rejection):
            assert message.response("tag") is None
        elif isinstance(message, Request):
            message.stamp_source("192.0.2.9", 40_000)
            effects = table.receive_request(0.0, message, reliable=False, flow=("192.0.2.9", 40_000))
            while effects:
                effect = effects.pop(0)
                if isinstance(effect, RequestArrived):
                    effects += table.respond(0.0, effect.transaction, effect.request.respond(200, to_tag="tag"))
                elif isinstance(effect, SendMessage):
                    sent.append(effect.message.encode())
                assert not isinstance(effect, AckArrived)
    assert len(sent) == 2  # the repeat got the same answer
    assert sent[0] == sent[1]
    assert b"rport=40000;received=192.0.2.9" in sent[0]
    assert table.next_deadline() == 32
