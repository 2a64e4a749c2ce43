"""Sound kept in the runs that it came in: one buffer that grows is moved again and again.

Short runs are put together, since each costs 33 bytes as an object, and a peer may send two bytes at a time.
"""

from collections.abc import MutableSequence

_SHORT_BYTES = 512
"""10 ms: a longer run is kept as it is."""

_BLOCK_BYTES = 64 * 1024
"""What is put together grows up to here."""


def append_run(runs: MutableSequence[bytes | bytearray], pcm: bytes) -> None:
    """Add `pcm` behind what is there."""
    if len(pcm) >= _SHORT_BYTES:
        runs.append(pcm)
        return
    last = runs[-1] if runs else None
    if isinstance(last, bytearray) and len(last) < _BLOCK_BYTES:
        last += pcm
    else:
        runs.append(bytearray(pcm))
