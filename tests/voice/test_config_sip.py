"""The phone line's configuration: who answers which number, and what cannot be meant."""

from pathlib import Path

import pytest

from voice.config_file import load
from voice.config_sip import SipConfig
from voice.errors import ConfigError

AGENTS = "agents:\n  desk: {}\n  night: {}\n"


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def from_text(text: str, environ: dict[str, str] | None = None) -> SipConfig:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "config.yaml").write_text(AGENTS + text, encoding="utf-8")
        return load(Path("config.yaml"), environ or {}).config.sip

    return from_text


def problem(read, text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, environ)
    return str(caught.value)


def test_the_phone_line_is_off_and_open_to_this_machine_only(read) -> None:
    sip = read("")
    assert (sip.enabled, sip.host, sip.port, sip.is_loopback) == (False, "127.0.0.1", 5060, True)


def test_the_environment_sets_the_port(read) -> None:
    assert read("", {"VOICE__SIP__PORT": "5161", "VOICE__SIP__ENABLED": "true"}).port == 5161


ROUTES = """\
sip:
  agent: desk
  trunks:
    carrier:
      addresses: 203.0.113.0/24
      routes: {"+15551234": night, "+1555*": desk, "+1*": night}
    pbx: {addresses: [198.51.100.7], agent: night}
    open: {addresses: [198.51.100.8]}
"""


@pytest.mark.parametrize(
    ("trunk", "called", "agent"),
    [
        ("carrier", "+15551234", "night"),
        ("carrier", "+15559999", "desk"),
        ("carrier", "+12125550", "night"),
        ("carrier", "+44", None),
        ("pbx", "100", "night"),
        ("open", "100", "desk"),
        ("loopback", "100", "desk"),
    ],
)
def test_a_number_finds_its_agent(read, trunk: str, called: str, agent: str | None) -> None:
    assert read(ROUTES).agent_for(trunk, called) == agent


def test_without_any_name_the_default_agent_answers(read) -> None:
    assert read("").agent_for("loopback", "100") == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "sip:\n  enabled: true\n  host: 0.0.0.0\n",
            "config.yaml:6:9: 0.0.0.0 is open to others: name whose calls are taken under sip.trunks, or use 127.0.0.1",
        ),
        (
            "sip:\n  trunks:\n    x: {addresses: 192.0.2.1, codecs: []}\n",
            "config.yaml:6:39: codecs cannot be empty",
        ),
        ("sip:\n  agent: dask\n", "config.yaml:5:10: there is no agent 'dask'"),
        (
            "sip:\n  trunks:\n    x: {agent: desk}\n",
            "config.yaml:6:5: anybody could call by 'x': give it addresses, credentials, or both",
        ),
        (
            'sip:\n  trunks:\n    x: {addresses: 192.0.2.1, routes: {"1": nobody}}\n',
            "config.yaml:6:45: there is no agent 'nobody'",
        ),
        (
            "sip:\n  trunks:\n    x: {addresses: sip.example.com}\n",
            "config.yaml:6:20: addresses: 'sip.example.com' is no address and no network such as 203.0.113.0/24 "
            "(names are not looked up)",
        ),
        (
            "sip:\n  trunks:\n    x: {addresses: 192.0.2.1, codecs: [pcmx]}\n",
            "config.yaml:6:40: codecs: 'pcmx' is not one of pcmu, pcma, g722, opus; did you mean 'pcmu'?",
        ),
        (
            "sip:\n  rtp: {first: 20000, last: 20000}\n",
            "config.yaml:5:29: there is no pair of ports from 20000 to 20000",
        ),
        (
            "sip:\n  public_address: voice.example.com\n",
            "config.yaml:5:19: public_address: 'voice.example.com' is no address",
        ),
        (
            "sip:\n  trunks:\n    x: {addresses: 192.0.2.1, transports: [tls]}\n",
            "config.yaml:6:43: calls over TLS need a certificate: set sip.tls",
        ),
    ],
)
def test_what_cannot_be_meant_is_named_by_its_line(read, text: str, said: str) -> None:
    assert problem(read, text) == said


def test_a_password_is_never_shown(read) -> None:
    text = "sip:\n  trunks:\n    x:\n      credentials:\n        alice: [hush]\n"
    assert "hush" not in problem(read, text)
    sip = read("sip:\n  trunks:\n    x:\n      credentials: {alice: hush}\n")
    assert "hush" not in sip.model_dump_json()


CALLERS = """\
sip:
  agent: desk
  trunks:
    carrier:
      addresses: 203.0.113.0/24
      routes: {"100": desk}
      callers: {"+1555*": night}
      headers: {X-Department: {night: night, day: desk}}
"""


@pytest.mark.parametrize(
    ("caller", "headers", "agent"),
    [
        ("+15551", [], "night"),
        ("+44", [], "desk"),
        ("+15551", [("x-department", "day")], "desk"),
        ("+44", [("X-Department", "night")], "night"),
        ("+44", [("X-Department", "nobody")], "desk"),
    ],
)
def test_caller_and_headers_choose_before_the_number_dialled(read, caller: str, headers, agent: str) -> None:
    assert read(CALLERS).agent_for("carrier", "100", caller, headers) == agent


def test_an_agent_that_callers_or_headers_name_must_exist(read) -> None:
    text = "sip:\n  trunks:\n    a:\n      addresses: 203.0.113.1\n      callers: {'1': nobody}\n"
    assert "there is no agent 'nobody'" in problem(read, text)
    text = "sip:\n  trunks:\n    a:\n      addresses: 203.0.113.1\n      headers: {X-A: {b: nobody}}\n"
    assert "there is no agent 'nobody'" in problem(read, text)


def test_a_trunk_is_probed_at_an_address_only(read) -> None:
    trunk = "sip: {trunks: {pbx: {addresses: 192.0.2.1, probe: '%s'}}}"
    assert read(trunk % "sip:192.0.2.1;transport=tcp").trunks["pbx"].probe == "sip:192.0.2.1;transport=tcp"
    assert "'192.0.2.1' is no address such as" in problem(read, trunk % "192.0.2.1")


def test_callers_cannot_be_asked_for_certificates_without_one_of_ours(read, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    assert "set sip.tls" in problem(read, "sip: {tls_callers: ca.pem}")
