"""A long call from a phone whose clock runs wrong: does the delay grow, is there a gap? In simulated time.

Packets are made by the phone's clock and come with jitter; the leg ticks by ours. Delay is what waits in the jitter
buffer, looked at every minute. Gaps are concealments and silences put in because nothing was there.

    python -m bench.sip_drift --minutes 30 --ppm 300
"""

import random

from bench.harness import SEED, Outcome, emit, parser, progress
from bench.rtp import payloads
from transports.live_audio import LiveAudio
from transports.rtp.codecs import PCMU
from transports.rtp.leg import LegOwner, LegTerms, MediaLeg
from transports.rtp.packet import RtpPacket, serialise_rtp

_TICK_S = 0.02
_PER_MINUTE = 3000


def call(ppm: float, minutes: int, jitter_ms: float) -> list[tuple[float, int, float]]:
    """Hold a call; return for each minute: mean packets waiting, concealments so far, milliseconds adjusted so far."""
    draw, sounds = random.Random(SEED), payloads("pcmu")
    terms = LegTerms(sends=(0, PCMU), receives={0: PCMU})
    audio = LiveAudio()
    leg = MediaLeg(terms, LegOwner(lambda _: None, lambda _: None), audio, wall_offset_s=0.0)
    step_s = _TICK_S * (1 - ppm / 1e6)
    under_way: list[tuple[float, int]] = []
    made, minute, waiting = 0, [], 0
    for tick in range(1, minutes * _PER_MINUTE + 1):
        now_s = tick * _TICK_S
        while made * step_s <= now_s:
            under_way.append((made * step_s + draw.uniform(0, jitter_ms) / 1000, made))
            made += 1
        ready = sorted(item for item in under_way if item[0] <= now_s)
        under_way = [item for item in under_way if item[0] > now_s]
        for arrival_s, number in ready:
            sound = sounds[number % len(sounds)]
            packet = RtpPacket(0, number & 0xFFFF, number * 160 & 0xFFFFFFFF, 7, sound)
            leg.receive(serialise_rtp(packet), arrival_s)
        leg.tick(now_s, 0)
        inbound = leg.inbound
        assert inbound is not None or tick < 3
        if inbound is None:
            continue
        waiting += inbound.buffer.queued_packets
        if tick % _PER_MINUTE == 0:
            counts = inbound.buffer.counts
            gaps = counts.lost + counts.late + counts.waited
            minute.append((waiting / _PER_MINUTE, gaps, inbound.counts.adjusted_ms))
            waiting = 0
    return minute


def main() -> None:
    """Run from the command line."""
    options = parser(__doc__)
    options.add_argument("--minutes", type=int, default=30)
    options.add_argument("--ppm", type=float, default=300.0, help="how much the phone's clock runs wrong")
    options.add_argument("--jitter", type=float, default=8.0, help="of the path, milliseconds")
    chosen = options.parse_args()
    columns = ("clock", "delay, first minute ms", "last minute ms", "gaps after 1 min", "at the end", "adjusted ms")
    outcome = Outcome("a long call with clock drift", columns)
    for name, ppm in (("fast", chosen.ppm), ("slow", -chosen.ppm), ("true", 0.0)):
        progress(f"{name} clock")
        minutes = call(ppm, chosen.minutes, chosen.jitter)
        first, last = minutes[0], minutes[-1]
        outcome.rows.append((name, f"{first[0] * 20:.1f}", f"{last[0] * 20:.1f}", first[1], last[1], f"{last[2]:.0f}"))
        outcome.figures[f"{name}_delay_first_ms"] = round(first[0] * 20, 2)
        outcome.figures[f"{name}_delay_last_ms"] = round(last[0] * 20, 2)
        outcome.figures[f"{name}_gaps"] = last[1] - first[1]
    outcome.notes.append(f"{chosen.minutes} min, simulated, {chosen.ppm:g} ppm, jitter up to {chosen.jitter:g} ms")
    emit(outcome, chosen.json)


if __name__ == "__main__":
    main()
