"""Payloads in, frames as they stand in a segment out; and back, frame by frame, as far as the bytes are whole."""

from __future__ import annotations

import struct
import zlib

MAGIC = b"\xc1evs"
"""Begins every frame. The byte 0xC1 is in no UTF-8 text and is never a type of msgpack, so no event's text holds it."""

HEAD = struct.Struct("<4sII")
"""Magic, length of the payload (never 0), crc32 of the payload; little-endian."""

MAX_PAYLOAD_BYTES = 256 * 1024 * 1024


def frame(payload: bytes) -> bytes:
    """Return the frame of a payload of 1 byte to :data:`MAX_PAYLOAD_BYTES`."""
    return HEAD.pack(MAGIC, len(payload), zlib.crc32(payload)) + payload


def frame_bytes(head: bytes) -> int:
    """Return the size of the frame that begins with ``head``, 0 where no frame can begin so."""
    if len(head) < HEAD.size:
        return 0
    magic, length, _ = HEAD.unpack_from(head)
    return HEAD.size + length if magic == MAGIC and 0 < length <= MAX_PAYLOAD_BYTES else 0


def is_whole(data: bytes) -> bool:
    """Tell whether ``data`` is exactly one frame whose payload is what was written."""
    if frame_bytes(data) != len(data):
        return False
    _, _, crc = HEAD.unpack_from(data)
    return bool(zlib.crc32(memoryview(data)[HEAD.size :]) == crc)
