"""Who records and what it lost in, a header of fixed size that a full disk cannot refuse out.

Layout of the file, 64 KiB of real bytes from its creation on: two copies of the identity in 8 KiB each, then slots of
64 bytes, each rewritten in place. A slot does not cross a page, so that a process killed at any moment leaves the old
or the new one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import zlib
from pathlib import Path

import msgspec

from evsys_otel.errors import JournalError
from evsys_otel.events import Lost
from evsys_otel.journal.identity import Identity
from evsys_otel.journal.kept import KeptFile

_logger = logging.getLogger(__name__)

HEADER_NAME = "header"
HEADER_BYTES = 64 * 1024

_MAGIC = b"evsysjn1"
_HEAD = struct.Struct("<8sII")
_COPY_BYTES = 8 * 1024
_COPIES = (0, _COPY_BYTES)

_TABLE_OFFSET = 16 * 1024
_SLOT_BYTES = 64
_SLOTS = (HEADER_BYTES - _TABLE_OFFSET) // _SLOT_BYTES
_SLOT = struct.Struct("<Bqqqqq")
_CRC = struct.Struct("<I")

_KINDS = ("event", "step", "prediction", "eval", "checkpoint")
_UNREADABLE = Lost("event", None, None, 0, 1, 1)
_INT64_MAX = 2**63 - 1

_Key = tuple[str, int | None, int | None]


def encode_header(identity: Identity) -> bytes:
    """Return a whole header without losses; an identity above 8 KiB goes without resource, command and folder."""
    body = msgspec.json.encode(identity)
    if len(body) > _COPY_BYTES - _HEAD.size:
        body = msgspec.json.encode(msgspec.structs.replace(identity, resource={}, command=[], cwd=""))
    if len(body) > _COPY_BYTES - _HEAD.size:
        raise ValueError(f"an identity of {len(body)} bytes does not fit into a journal's header")
    copy = (_HEAD.pack(_MAGIC, len(body), zlib.crc32(body)) + body).ljust(_COPY_BYTES, b"\0")
    return (copy * len(_COPIES)).ljust(HEADER_BYTES, b"\0")


def read_identity(folder: Path) -> Identity:
    """Return the identity of the journal in ``folder``.

    Raises:
        JournalError: the header is missing or both copies are damaged.
    """
    try:
        data = (folder / HEADER_NAME).read_bytes()
    except OSError as error:
        raise JournalError(f"{folder} is no journal that can be read ({error}); give the folder of one.") from None
    for offset in _COPIES:
        identity = _identity_at(data, offset)
        if identity is not None:
            return identity
    raise JournalError(f"The header of {folder} is damaged; what its events belong to cannot be told.")


def read_losses(folder: Path) -> list[Lost]:
    """Return what the journal's writer could not append; never raises. A damaged slot counts as one lost event."""
    try:
        data = (folder / HEADER_NAME).read_bytes()
    except OSError:
        return []
    offsets = range(_TABLE_OFFSET, len(data) - _SLOT_BYTES + 1, _SLOT_BYTES)
    slots = [_decode_slot(data[offset : offset + _SLOT_BYTES]) for offset in offsets]
    return [lost for lost in slots if lost is not None and (lost.calls or lost.values)]


class LossTable:
    """The slots of one journal's header, one for each (kind, run, stream); not thread-safe, never raises.

    When there are more kinds of losses than slots, the last slot adds up the rest as losses of events.
    """

    def __init__(self, file: KeptFile) -> None:
        self._file = file
        self._slots: dict[_Key, int] = {}
        self._rest: dict[_Key, Lost] = {}
        self._rest_calls = self._rest_values = 0

    def put(self, lost: Lost) -> None:
        """Write what was lost in all of one kind, run and stream, in place of what was written of it before."""
        key = (lost.kind, lost.run, lost.stream)
        slot = self._slots.get(key)
        if slot is None and len(self._slots) < _SLOTS - 1:
            slot = self._slots[key] = len(self._slots)
        if slot is None:
            slot, lost = _SLOTS - 1, self._add_to_rest(key, lost)
        try:
            self._file.check()
            os.pwrite(self._file.fd, _encode_slot(lost), _TABLE_OFFSET + slot * _SLOT_BYTES)
        except OSError as error:
            _logger.debug("a loss could not be written into the journal's header: %s", error)

    def _add_to_rest(self, key: _Key, lost: Lost) -> Lost:
        before = self._rest.get(key)
        self._rest[key] = lost
        self._rest_calls += lost.calls - (before.calls if before else 0)
        self._rest_values += lost.values - (before.values if before else 0)
        return Lost("event", None, None, 0, self._rest_calls, self._rest_values)

    def close(self) -> None:
        """Close the header."""
        self._file.close()


def _identity_at(data: bytes, offset: int) -> Identity | None:
    with contextlib.suppress(struct.error, msgspec.MsgspecError, ValueError):
        magic, length, crc = _HEAD.unpack_from(data, offset)
        body = data[offset + _HEAD.size : offset + _HEAD.size + length]
        if magic == _MAGIC and len(body) == length and zlib.crc32(body) == crc:
            return msgspec.json.decode(body, type=Identity)
    return None


def _encode_slot(lost: Lost) -> bytes:
    kind = _KINDS.index(lost.kind) if lost.kind in _KINDS else 0
    numbers = (_number(lost.run), _number(lost.stream), lost.next_ordinal, lost.calls, lost.values)
    body = _SLOT.pack(kind + 1, *(min(max(number, -1), _INT64_MAX) for number in numbers))
    return (_CRC.pack(zlib.crc32(body)) + body).ljust(_SLOT_BYTES, b"\0")


def _decode_slot(data: bytes) -> Lost | None:
    if not any(data):
        return None
    body = data[_CRC.size : _CRC.size + _SLOT.size]
    kind, run, stream, next_ordinal, calls, values = _SLOT.unpack(body)
    if zlib.crc32(body) != _CRC.unpack_from(data)[0] or not 0 < kind <= len(_KINDS):
        return _UNREADABLE
    return Lost(_KINDS[kind - 1], _maybe(run), _maybe(stream), next_ordinal, calls, values)


def _number(value: int | None) -> int:
    return -1 if value is None else value


def _maybe(number: int) -> int | None:
    return None if number < 0 else number
