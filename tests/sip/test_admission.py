"""Whose calls are taken: by address, by password, within limits; each refusal with its own status and one line."""

import logging
from ipaddress import ip_network

import pytest

from sip.admission import CallLimits
from sip.auth import Credentials, DigestClient, parse_digest
from sip.refusals import RefusalLog
from sip.trunk import Trunk

from .conftest import CARRIER, LOCAL, OFFER, Link

PHONES = Trunk("phones", passwords={"alice": "secret"})
PBX = Trunk("pbx", (ip_network("198.51.100.0/24"),), passwords={"pbx": "word"})
HOME = ("192.0.2.66", 5060)


def invite(make_request, number: int = 1, **named):
    made = make_request(body=OFFER, branch=f"z9hG4bK-n{number}", **named)
    made.set("Call-ID", f"call-{number}")
    return made


def with_password(switchboard, link, request, password: str, username: str = "alice"):
    """Answer the challenge to a request; return what comes back."""
    (challenge,) = switchboard.receive(request, link)
    assert challenge.status == 401
    client = DigestClient([Credentials(username, password)], lambda: "cnonce")
    retry = client.answer(request, challenge)
    assert retry is not None
    retry.set("Via", f"{request.via}".replace("z9hG4bK", "z9hG4bKr"))
    return [message.status for message in switchboard.receive(retry, link)]


@pytest.mark.parametrize("trunk", [PHONES, PBX])
def test_the_right_password_opens_the_line(make_switchboard, make_request, trunk) -> None:
    switchboard = make_switchboard((trunk,))
    link = Link(remote=HOME if trunk is PHONES else ("198.51.100.20", 5060))
    name, password = next(iter(trunk.passwords.items()))
    assert with_password(switchboard, link, invite(make_request), password, name) == [100]
    assert switchboard.call.arrival.username == name
    assert switchboard.call.arrival.trunk is trunk
    assert "Authorization" not in dict(switchboard.call.headers)


@pytest.mark.parametrize(
    ("agent", "offered"), [("Phone 3", ["MD5", "SHA-256"]), ("baresip v1.0.0 (x86_64/Linux)", ["MD5"])]
)
def test_md5_and_sha_256_are_offered_but_to_those_who_fail_on_it(
    make_switchboard, make_request, agent, offered
) -> None:
    (challenge,) = make_switchboard((PBX,)).receive(invite(make_request, more=f"User-Agent: {agent}"))
    values = [parse_digest(value) or {} for value in challenge.get_all("WWW-Authenticate")]
    assert [value["algorithm"] for value in values] == offered
    assert challenge.to.tag


def test_the_wrong_password_is_asked_again_and_banned_in_the_end(make_switchboard, make_request, caplog) -> None:
    switchboard = make_switchboard((PHONES,))
    link = Link(remote=HOME)
    for number in range(10):
        assert with_password(switchboard, link, invite(make_request, number), "guess") == [401]
    assert not switchboard.gate.admit(switchboard.now, HOME)
    assert switchboard.arrived == []
    assert "source=192.0.2.66:5060 what=INVITE status=401 reason=\"wrong credentials of 'alice'\"" in caplog.text


def test_a_password_that_was_overheard_cannot_be_used_again(make_switchboard, make_request) -> None:
    switchboard = make_switchboard((PBX,))
    (challenge,) = switchboard.receive(invite(make_request))
    retry = DigestClient([Credentials("pbx", "word")], lambda: "c").answer(invite(make_request), challenge)
    assert retry is not None
    for number, status in ((1, 100), (2, 401)):
        retry.set("Via", f"SIP/2.0/UDP 198.51.100.20:5060;branch=z9hG4bK-again{number};rport")
        retry.set("Call-ID", f"again-{number}")
        assert switchboard.receive(retry)[0].status == status


def test_strangers_are_challenged_without_a_trace(make_switchboard, make_request) -> None:
    switchboard = make_switchboard((PHONES,))
    link = Link(remote=HOME)
    for number in range(100):
        assert switchboard.receive(invite(make_request, number), link)[0].status == 401
    assert len(switchboard.agent._performer.table) == 0
    assert switchboard.agent.admission.calls == 0


@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "SUBSCRIBE"])
def test_a_scanner_learns_nothing(make_switchboard, make_request, method) -> None:
    switchboard = make_switchboard((PHONES,))
    assert switchboard.receive(make_request(method), Link(remote=HOME)) == []
    assert len(switchboard.agent._performer.table) == 0


@pytest.mark.parametrize(("name", "heard"), [("friendly-scanner", False), ("Linphone/5.1", True)])
def test_a_scanner_by_its_own_word_is_banned_at_once(make_switchboard, make_request, name, heard) -> None:
    switchboard = make_switchboard((PHONES,), scanners=("friendly-scanner",))
    call = make_request(body=OFFER, more=f"User-Agent: {name}")
    assert [answer.status for answer in switchboard.receive(call, Link(remote=HOME))] == ([401] if heard else [])
    assert switchboard.gate.admit(1.0, HOME) is heard


def test_a_transport_that_the_trunk_does_not_have_is_refused(make_switchboard, make_request) -> None:
    trunk = Trunk("tls only", (ip_network("198.51.100.0/24"),), transports=frozenset(("TLS",)))
    assert make_switchboard((trunk,)).receive(invite(make_request))[0].status == 403


def test_a_host_that_we_have_called_may_not_call(make_switchboard, make_request) -> None:
    switchboard = make_switchboard((CARRIER,))
    switchboard.gate.expect(HOME[0])
    assert switchboard.receive(invite(make_request), Link(remote=HOME))[0].status == 403


def test_a_full_trunk_and_a_full_service_say_503_and_when_to_come_again(make_switchboard, make_request) -> None:
    small = Trunk("small", (ip_network("198.51.100.20"),), max_calls=1)
    large = Trunk("large", (ip_network("198.51.100.21"),))
    switchboard = make_switchboard((small, large), limits=CallLimits(max_calls=2))
    one, two = Link(), Link(remote=("198.51.100.21", 5060))
    assert switchboard.receive(invite(make_request, 1), one)[0].status == 100
    refused = switchboard.receive(invite(make_request, 2), one)[0]
    assert (refused.status, refused.get("Retry-After")) == (503, "5")
    assert switchboard.receive(invite(make_request, 3), two)[0].status == 100
    assert switchboard.receive(invite(make_request, 4), two)[0].status == 503
    switchboard.call.reject(486)
    assert switchboard.receive(invite(make_request, 5), two)[0].status == 100


def test_calls_that_come_too_fast_are_refused(make_switchboard, make_request) -> None:
    switchboard = make_switchboard(limits=CallLimits(calls_per_s=2))
    statuses = [switchboard.receive(invite(make_request, number))[0].status for number in range(6)]
    assert statuses == [100] * 4 + [503] * 2
    switchboard.now = 1.0
    assert switchboard.receive(invite(make_request, 9))[0].status == 100


def test_a_call_that_ends_gives_its_place_back(make_switchboard, make_request) -> None:
    switchboard = make_switchboard(limits=CallLimits(max_calls=1))
    for number in range(3):
        assert switchboard.receive(invite(make_request, number))[0].status == 100
        switchboard.call.answer(LOCAL)
        switchboard.call.hang_up()
        switchboard.pass_time(switchboard.now + 40)  # no ACK ever
    assert switchboard.agent.admission.calls == 0


def test_a_refusal_is_one_line_and_a_flood_of_them_few(caplog) -> None:
    caplog.set_level(logging.WARNING, "sip.refused")
    log = RefusalLog()
    for number in range(5000):
        log.note(number / 500, ("192.0.2.1", 5060), "INVITE", 403, "unknown")
    assert len(caplog.records) == 1
    log.note(10.0, ("192.0.2.1", 5061), "INVITE", 403, "unknown")
    assert caplog.messages[-1] == (
        'refused source=192.0.2.1:5061 what=INVITE status=403 reason="unknown" repeated=4999'
    )
    for number in range(5000):
        log.note(11.0, (f"192.0.2.{number}", 5060), "message", 0, "unknown")
    assert len(caplog.records) == 22
    assert log.counts["unknown"] == 10_001


def test_a_stranger_on_the_wrong_transport_hears_nothing_and_the_operator_does(
    make_switchboard, make_request, caplog
) -> None:
    trunk = Trunk("phones", passwords={"alice": "secret"}, transports=frozenset(("TLS",)))
    assert make_switchboard((trunk,)).receive(invite(make_request), Link(remote=HOME)) == []
    assert "no trunk takes calls over UDP" in caplog.text
