"""What hostile bytes do: a million damaged inputs through everything that reads the network. Pure CPU, no socket.

Counts exceptions other than the library's own refusals (there must be none) and finds the slowest input (none over
5 ms; a slow one is tried again, as what does not repeat was the machine). `--atheris` lets coverage guide the damage
instead (`pip install --group fuzz`): an exception or an input of a second stops it, with the input in a file.

python -m bench.sip_fuzz [--inputs 1000000] [--seed 1] [--json]
python -m bench.sip_fuzz --atheris datagram --seconds 300
"""

import argparse
import importlib
import json
import logging
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

SLOW_MS = 5.0
NAMES = ("datagram", "stream", "sdp", "rtp", "agent")
TOKENS: tuple[bytes, ...] = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b";",
    b",",
    b":",
    b"<",
    b">",
    b'"',
    b"\\",
    b"=",
    b"%",
    b"@",
    b"\x00",
)
TOKENS += (b"\xff", b" ", b"\t", b"sip:", b"SIP/2.0", b"[::1]", b"999999999999", b"-1", b"Content-Length: ")
TOKENS += (b"Via: ", b"a=", b"m=audio 0 RTP/AVP", b"c=IN IP4 ", b"((((((((", b"~" * 64, b"1" * 300)


def damage(data: bytes, dice: random.Random) -> bytes:
    """Return the data with one to eight things wrong."""
    made = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(made) + 1)
        kind = dice.randrange(7)
        if kind == 0 and made:
            made[at % len(made)] = dice.randrange(256)
        elif kind == 1:
            made[at:at] = dice.choice(TOKENS)
        elif kind == 2:
            del made[at : at + dice.randrange(1, 40)]
        elif kind == 3:
            piece = made[at : at + dice.randrange(1, 200)]
            made[at:at] = piece * dice.choice((1, 1, 2, 50))
        elif kind == 4:
            end = dice.randrange(len(made) + 1)
            made[at:at] = made[end : end + 80]
        elif kind == 5:
            lines = made.split(b"\r\n")
            dice.shuffle(lines)
            made = bytearray(b"\r\n".join(lines))
        else:
            made = made[: max(1, at)]
    return bytes(made[:66_000])


@dataclass(slots=True)
class Findings:
    """What one target did."""

    inputs: int = 0
    seconds: float = 0.0
    worst_ms: float = 0.0
    worst: bytes = b""
    exceptions: list[str] = field(default_factory=list)


def attack(read: Callable[[bytes], None], seeds: tuple[bytes, ...], count: int, dice: random.Random) -> Findings:
    """Give a reader so many damaged inputs."""
    found = Findings()
    for number in range(count):
        data = damage(seeds[number % len(seeds)], dice)
        spent = _spent_s(read, data, found)
        found.seconds += spent
        found.inputs += 1
        if spent * 1000 > SLOW_MS:
            spent = min(spent, *(_spent_s(read, data, found) for _ in range(3)))
        if spent * 1000 > found.worst_ms:
            found.worst_ms, found.worst = spent * 1000, data
    return found


def _spent_s(read: Callable[[bytes], None], data: bytes, found: Findings) -> float:
    began = time.perf_counter()
    try:
        read(data)
    except Exception as error:  # noqa: BLE001  # finding them is the purpose
        if len(found.exceptions) < 20:
            found.exceptions.append(f"{type(error).__name__}: {error} for {data[:200]!r}")
    return time.perf_counter() - began


def guided(name: str, seconds: int) -> NoReturn:
    """Let atheris look for what hurts; it ends the process."""
    import atheris  # type: ignore[import-untyped]  # of the group `fuzz`, which no lock file has

    with atheris.instrument_imports(include=["sip", "transports.rtp"]):
        read, seeds, _ = importlib.import_module("bench.sip_targets").targets()[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            Path(corpus, str(number)).write_bytes(seed)
        limits = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=1", "-rss_limit_mb=2048"]
        atheris.Setup([sys.argv[0], *limits, corpus], read)
        atheris.Fuzz()
    raise SystemExit


def main() -> None:
    """Print the table, or JSON; the status is 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print figures as JSON instead of a table")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="damaged inputs in all")
    parser.add_argument("--seed", type=int, default=1, help="of the damage")
    parser.add_argument("--atheris", choices=NAMES, help="attack this one, guided by coverage")
    parser.add_argument("--seconds", type=int, default=60, help="with --atheris: for so long")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if given.atheris:
        guided(given.atheris, given.seconds)
    targets = importlib.import_module("bench.sip_targets").targets()
    dice = random.Random(given.seed)
    found = {
        name: attack(read, seeds, int(given.inputs * share), dice) for name, (read, seeds, share) in targets.items()
    }
    if given.json:
        figures = {name: vars_of(one) for name, one in found.items()}
        print(json.dumps({"bench": "sip_fuzz", "seed": given.seed, "targets": figures}, indent=2))
    else:
        print(f"{'damaged inputs':<24} {'inputs':>9} {'mean µs':>9} {'worst ms':>9} {'exceptions':>11}")
        for name, one in found.items():
            mean = one.seconds / max(one.inputs, 1) * 1e6
            print(f"{name:<24} {one.inputs:>9} {mean:>9.1f} {one.worst_ms:>9.2f} {len(one.exceptions):>11}")
        for one in found.values():
            if one.worst_ms > SLOW_MS:
                print(f"slow: {one.worst[:1000]!r}")
            for line in one.exceptions:
                print(line)
    if any(one.exceptions or one.worst_ms > SLOW_MS for one in found.values()):
        raise SystemExit(1)


def vars_of(found: Findings) -> dict[str, object]:
    """Return the findings as JSON has them."""
    return {"inputs": found.inputs, "seconds": found.seconds, "worst_ms": found.worst_ms, "faults": found.exceptions}


if __name__ == "__main__":
    main()
