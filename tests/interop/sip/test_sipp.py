"""sipp calls us: over UDP and TCP, with everything that callers do to a call, and with messages that get lost."""

import asyncio

import pytest

from sip.call_effects import EndReason
from sip.endpoint import EndpointSettings
from sip.session_timer import TimerPolicy
from sip.timers import Timers
from sip.trunk import Trunk
from sip.user_agent import AgentSettings
from sip.watch import Watch

from .conftest import Desk, free_media_ports, free_port, listening, needs
from .scenarios import (
    ANSWERED,
    CALL,
    HANGS_UP,
    ack,
    bye,
    cancel,
    invite,
    ok,
    pause,
    recv,
    refused_ack,
    scenario,
    sdp,
    send,
)

OVER = {"udp": ("-t", "u1"), "tcp": ("-t", "t1"), "a connection each": ("-t", "tn", "-max_socket", "1000")}


@pytest.mark.parametrize("transport", OVER)
async def test_ten_calls(sipp, transport) -> None:
    desk = Desk()
    async with listening(desk) as line:
        ran = await sipp(CALL, line.listening["UDP"][1], "-r", "20", *OVER[transport], calls=10)
        assert ran.status == 0, ran.said
        await desk.until(lambda: line.calls == 0)
    assert [leg.end.reason for leg in desk.legs if leg.end] == [EndReason.REMOTE_BYE] * 10
    assert all(leg.is_confirmed and len(leg.agreements) == 1 for leg in desk.legs)


@pytest.mark.parametrize("transport", OVER)
def test_calls_on_the_loop_of_the_service(sipp, transport) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def hold() -> None:
        desk = Desk()
        async with listening(desk) as line:
            ran = await sipp(CALL, line.listening["UDP"][1], "-r", "20", *OVER[transport], calls=3)
            assert ran.status == 0, ran.said
            await desk.until(lambda: line.calls == 0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(hold())


async def test_messages_get_lost_either_way(sipp) -> None:
    desk = Desk()
    settings = EndpointSettings(port=0, agent=AgentSettings(timers=Timers(t1_s=0.2)))
    async with listening(desk, settings) as line:
        ran = await sipp(
            CALL.replace('retrans="500"', 'retrans="200"'),
            line.listening["UDP"][1],
            "-r",
            "20",
            "-lost",
            "5",
            calls=20,
        )
        assert ran.status == 0, ran.said
        await desk.until(lambda: line.calls == 0)


CANCELLED = (cancel(), recv(180, optional=True), recv(200), recv(487), refused_ack())


@pytest.mark.parametrize(
    ("answer_after_s", "steps", "reason"),
    [
        (None, (invite(), recv(100), *CANCELLED), EndReason.CANCELLED),
        (None, (invite(), recv(100), recv(180), pause(200), *CANCELLED), EndReason.CANCELLED),
        # The answer is on its way when the caller gives up: the call stands, and the caller ends it (RFC 3261 §9.1).
        (
            0.0,
            (invite(), recv(100), recv(180), recv(200, rrs=True), cancel(), recv(200), ack(), *HANGS_UP),
            EndReason.REMOTE_BYE,
        ),
    ],
    ids=["before it rings", "while it rings", "after the answer"],
)
async def test_cancel(sipp, answer_after_s, steps, reason) -> None:
    desk = Desk(answer_after_s)
    async with listening(desk) as line:
        ran = await sipp(scenario(*steps), line.listening["UDP"][1])
        assert ran.status == 0, ran.said
        await desk.until(lambda: line.calls == 0)
    (leg,) = desk.legs
    assert leg.end is not None
    assert leg.end.reason is reason


async def test_delayed_offer(sipp) -> None:
    steps = (
        send("INVITE", retrans=500),
        recv(100, optional=True),
        recv(180, optional=True),
        recv(200, rrs=True, body="m=audio 40000 RTP/AVP"),
        ack(body=sdp()),
        pause(200),
        *HANGS_UP,
    )
    desk = Desk()
    async with listening(desk) as line:
        ran = await sipp(scenario(*steps), line.listening["UDP"][1])
        assert ran.status == 0, ran.said
    assert [agreement.codec.name for agreement in desk.legs[0].agreements] == ["PCMU"]


def reinvite(cseq: int, answered: str, **described: object) -> tuple[str, ...]:
    offer = send("INVITE", cseq=cseq, in_dialog=True, body=sdp(version=cseq, **described), retrans=500)  # type: ignore[arg-type]
    return offer, recv(100, optional=True), recv(200, body=answered), ack(cseq)


async def test_hold_resume_and_another_port(sipp) -> None:
    steps = (
        invite(),
        *ANSWERED,
        *reinvite(2, "a=recvonly", direction="sendonly"),
        *reinvite(3, "a=sendrecv"),
        *reinvite(4, "a=inactive", direction="inactive"),
        *reinvite(5, "a=sendrecv", port="49000"),
        bye(6),
        recv(200),
    )
    desk = Desk()
    async with listening(desk) as line:
        ran = await sipp(scenario(*steps), line.listening["UDP"][1])
        assert ran.status == 0, ran.said
    agreements = desk.legs[0].agreements
    assert [agreement.is_held for agreement in agreements] == [False, True, False, True, False]
    assert agreements[-1].remote_port == 49_000


async def test_a_refresh_that_changes_nothing_resets_no_audio(sipp) -> None:
    update = send("UPDATE", cseq=3, in_dialog=True, more="Supported: timer\nSession-Expires: 120;refresher=uac\n")
    steps = (
        invite(more="Supported: timer\nSession-Expires: 120;refresher=uac\n"),
        recv(100, optional=True),
        recv(180, optional=True),
        recv(200, rrs=True, body="Session-Expires: 120;refresher=uac"),
        ack(),
        send("INVITE", cseq=2, in_dialog=True, body=sdp(), retrans=500),
        recv(100, optional=True),
        recv(200),
        ack(2),
        update,
        recv(200, body="Session-Expires: 120;refresher=uac"),
        bye(4),
        recv(200),
    )
    desk = Desk()
    async with listening(desk) as line:
        ran = await sipp(scenario(*steps), line.listening["UDP"][1])
        assert ran.status == 0, ran.said
    assert len(desk.legs[0].agreements) == 1


async def test_a_session_interval_below_the_least_is_refused_and_named(sipp) -> None:
    steps = (invite(more="Supported: timer\nSession-Expires: 30\n"), recv(422, body="Min-SE: 90"), refused_ack())
    async with listening(Desk()) as line:
        ran = await sipp(scenario(*steps), line.listening["UDP"][1])
        assert ran.status == 0, ran.said


@pytest.mark.parametrize("by", ["UPDATE", "INVITE", "nobody"])
async def test_a_session_is_refreshed_by_us_or_ends(sipp, monkeypatch, by) -> None:
    monkeypatch.setattr("sip.session_timer.MIN_SE_S", 1)  # 90 s by the standard: too long for a test
    policy = TimerPolicy(interval_s=3, min_se_s=1)
    settings = EndpointSettings(port=0, agent=AgentSettings(session_timer=policy))
    role = "uac" if by == "nobody" else "uas"
    allow = "Allow: UPDATE\n" if by == "UPDATE" else ""
    more = f"Supported: timer\n{allow}Session-Expires: 3;refresher={role}\nMin-SE: 1\n"
    refreshed = {
        "UPDATE": (recv("UPDATE"), ok("UPDATE"), *HANGS_UP),
        "INVITE": (recv("INVITE", body="m=audio"), ok("INVITE", body=sdp()), recv("ACK"), *HANGS_UP),
        "nobody": (recv("BYE"), ok()),
    }
    desk = Desk()
    async with listening(desk, settings) as line:
        ran = await sipp(scenario(invite(more=more), *ANSWERED, *refreshed[by]), line.listening["UDP"][1])
        assert ran.status == 0, ran.said
        await desk.until(lambda: line.calls == 0)
    assert desk.legs[0].end is not None
    assert desk.legs[0].end.reason is (EndReason.EXPIRED if by == "nobody" else EndReason.REMOTE_BYE)
    assert len(desk.legs[0].agreements) == 1


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_we_hang_up(sipp, transport) -> None:
    desk = Desk()
    async with listening(desk) as line:

        async def hang_up() -> None:
            await desk.until(lambda: bool(desk.legs) and desk.legs[0].is_confirmed)
            desk.legs[0].call.hang_up('Q.850;cause=16;text="done"')

        hanging_up = asyncio.create_task(hang_up())
        steps = (invite(), *ANSWERED, recv("BYE", body="Q.850;cause=16"), ok())
        ran = await sipp(scenario(*steps), line.listening["UDP"][1], *OVER[transport])
        await hanging_up
        assert ran.status == 0, ran.said


@pytest.mark.parametrize("password", ["secret", "wrong"])
async def test_digest(sipp, password) -> None:
    trunk = Trunk("phones", passwords={"alice": "secret"})
    authorised = invite(cseq=2, more=f"[authentication username=alice password={password}]\n")
    taken = (recv(100, optional=True), recv(180, optional=True), recv(200, rrs=True), ack(2), bye(3), recv(200))
    refused = (recv(100, optional=True), recv(401), refused_ack(2))
    steps = (invite(), recv(401, auth=True), refused_ack(), authorised, *(taken if password == "secret" else refused))
    desk = Desk()
    async with listening(desk, trunks=(trunk,)) as line:
        ran = await sipp(scenario(*steps), line.listening["UDP"][1])
        assert ran.status == 0, ran.said
    assert len(desk.legs) == (1 if password == "secret" else 0)


async def test_dtmf_by_info(sipp) -> None:
    info = send("INFO", cseq=2, in_dialog=True, body="Signal=5\nDuration=160\n", kind="application/dtmf-relay")
    desk = Desk()
    async with listening(desk) as line:
        ran = await sipp(scenario(invite(), *ANSWERED, info, recv(200), bye(3), recv(200)), line.listening["UDP"][1])
        assert ran.status == 0, ran.said
    assert [body.split() for body in desk.legs[0].infos] == [[b"Signal=5", b"Duration=160"]]


@pytest.mark.parametrize("draining", [False, True])
async def test_options_and_draining(sipp, draining) -> None:
    async with listening(Desk()) as line:
        if draining:
            line.drain()
        answer = recv(503, body="Retry-After: 5") if draining else recv(200, body="Allow: INVITE")
        ran = await sipp(scenario(send("OPTIONS"), answer), line.listening["UDP"][1])
        assert ran.status == 0, ran.said


async def test_leaving_says_goodbye_to_every_call(sipp) -> None:
    desk = Desk()
    async with listening(desk) as line:
        steps = (invite(), *ANSWERED, recv("BYE", body="Q.850;cause=31"), ok())
        running = asyncio.create_task(sipp(scenario(*steps), line.listening["UDP"][1], "-r", "20", calls=3))
        await desk.until(lambda: len(desk.legs) == 3 and all(leg.is_confirmed for leg in desk.legs))
    ran = await running
    assert ran.status == 0, ran.said


async def test_a_trunk_is_asked_whether_it_is_there(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sip.endpoint._LOOK_S", 0.1)
    needs("sipp")
    told: list[tuple[str, bool, int]] = []
    port = free_port()
    steps = (recv("OPTIONS"), ok("OPTIONS"))
    (tmp_path / "answer.xml").write_text(scenario(*steps))
    command = ["sipp", "-sf", "answer.xml", "-i", "127.0.0.1", "-p", str(port), "-mp", str(free_media_ports(4))]
    callee = await asyncio.create_subprocess_exec(
        *command, "-nostdin", "-m", "1", cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL
    )
    peers = {"pbx": f"sip:127.0.0.1:{port}", "gone": f"sip:127.0.0.1:{free_port()};transport=tcp"}
    desk = Desk()
    async with listening(desk, watch=Watch(peers, lambda *what: told.append(what))):
        await desk.until(lambda: len(told) == 2)
    await callee.wait()
    assert sorted(told) == [("gone", False, 503), ("pbx", True, 200)]
