"""The hash chain: h_n = blake2b-128(h_{n-1} ‖ the line's bytes before ,"h"), h_0 = 16 zero bytes."""

from hashlib import blake2b
from typing import Final

DIGEST_BYTES: Final = 16
GENESIS: Final = bytes(DIGEST_BYTES)


def chained(previous: bytes, body: bytes) -> bytes:
    """Return the digest of a line, given the one before it and the line's bytes before its `h`."""
    return blake2b(previous + body, digest_size=DIGEST_BYTES).digest()
