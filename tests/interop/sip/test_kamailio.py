"""Behind a proxy that record-routes: Kamailio stands between sipp and us, with UDP on one side and TCP on the other."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sip.call_effects import EndReason

from .conftest import Desk, free_port, listening, needs
from .scenarios import ANSWERED, CALL, cancel, invite, ok, pause, recv, refused_ack, scenario

KAMAILIO = shutil.which("kamailio") or "/usr/sbin/kamailio"

CONFIG = """\
debug=0
log_stderror=yes
fork=yes
children=1
tcp_children=1
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
modparam("rr", "enable_double_rr", 1)
request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (has_totag()) {{
    if (loose_route()) {{ t_relay(); exit; }}
    if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
    sl_send_reply("404", "Not here"); exit;
  }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  t_check_trans();
  record_route();
  $du = "sip:127.0.0.1:{target};transport={transport}";
  t_relay();
}}
"""


@asynccontextmanager
async def proxy(folder: Path, target: int, transport: str) -> AsyncIterator[int]:
    """Run Kamailio in front of a port; gives its own."""
    port = free_port()
    config = folder / "kamailio.cfg"
    config.write_text(CONFIG.format(port=port, target=target, transport=transport))
    log = (folder / "kamailio.log").open("wb")
    arguments = ["-DD", "-E", "-f", str(config), "-m", "32", "-M", "4", "-w", str(folder), "-Y", str(folder)]
    process = await asyncio.create_subprocess_exec(KAMAILIO, *arguments, stdout=log, stderr=subprocess.STDOUT)
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                except OSError:
                    assert process.returncode is None, (folder / "kamailio.log").read_text()
                    await asyncio.sleep(0.1)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        log.close()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_calls_end_from_either_side_through_the_proxy(sipp, tmp_path, transport) -> None:
    needs("kamailio")
    desk = Desk()
    async with listening(desk) as line, proxy(tmp_path, line.listening["UDP"][1], transport) as port:
        ran = await sipp(CALL, port, "-r", "10", calls=5)
        assert ran.status == 0, ran.said
        await desk.until(lambda: line.calls == 0)
        assert {leg.call.arrival.transport for leg in desk.legs} == {transport.upper()}
        assert {leg.end.reason for leg in desk.legs if leg.end} == {EndReason.REMOTE_BYE}

        async def hang_up() -> None:
            await desk.until(lambda: len(desk.legs) == 6 and desk.legs[5].is_confirmed)
            desk.legs[5].call.hang_up()

        hanging_up = asyncio.create_task(hang_up())
        ran = await sipp(scenario(invite(), *ANSWERED, recv("BYE"), ok()), port)
        await hanging_up
        assert ran.status == 0, ran.said
        await desk.until(lambda: not line.agent.calls.is_waiting)


async def test_a_cancel_comes_through_the_proxy(sipp, tmp_path) -> None:
    needs("kamailio")
    desk = Desk(None)
    steps = (invite(), recv(100), recv(180), pause(100), cancel(), recv(200), recv(487), refused_ack())
    async with listening(desk) as line, proxy(tmp_path, line.listening["UDP"][1], "udp") as port:
        ran = await sipp(scenario(*steps), port)
        assert ran.status == 0, ran.said
        await desk.until(lambda: line.calls == 0)
    assert desk.legs[0].end is not None
    assert desk.legs[0].end.reason is EndReason.CANCELLED
