"""A run or an experiment as a short text: what another process needs to continue it, and back again."""

from __future__ import annotations

import base64
import binascii
import uuid
from typing import Any

import msgspec

from evsys_otel.errors import HandleError

PREFIX = "evsys1."
MAX_HANDLE_BYTES = 16 * 1024

_INT64_MAX = 2**63 - 1
_INT32_MAX = 2**31 - 1


class ExperimentHandle(msgspec.Struct, frozen=True, tag="experiment"):
    """An experiment to join; times are nanoseconds since the epoch."""

    id: str
    name: str
    project_id: str | None = None
    last_time_unix_nano: int = 0


class RunHandle(msgspec.Struct, frozen=True, tag="run"):
    """A run to continue: its facts, the number of the attempt that gave the handle, and each split's last step."""

    id: str
    name: str
    experiment: ExperimentHandle
    group_id: str | None = None
    group_name: str | None = None
    seed: int | None = None
    recipe: str | None = None
    attempt: int = 1
    last_time_unix_nano: int = 0
    last_steps: dict[str, int] = {}


_decoder = msgspec.json.Decoder(ExperimentHandle | RunHandle)


def encode_handle(handle: ExperimentHandle | RunHandle) -> str:
    """Return the handle as text that survives a URL, a shell and a checkpoint's JSON.

    A run's that would be longer than a handle may be goes without its recipe, which the store has, then without the
    last steps of its splits.
    """
    text = _encode(handle)
    dispensable: tuple[dict[str, object], ...] = ({"recipe": None}, {"last_steps": {}})
    for left_out in dispensable:
        if len(text) > MAX_HANDLE_BYTES and isinstance(handle, RunHandle):
            handle = msgspec.structs.replace(handle, **left_out)
            text = _encode(handle)
    return text


def _encode(handle: ExperimentHandle | RunHandle) -> str:
    return PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(handle)).decode().rstrip("=")


def is_handle(text: object) -> bool:
    """Tell whether this is meant as a handle; it may still be a damaged one."""
    return isinstance(text, str) and text.strip().startswith(PREFIX)


def decode_handle(text: str) -> ExperimentHandle | RunHandle:
    """Return what :func:`encode_handle` encoded.

    Raises:
        HandleError: the text is no handle, is damaged, or is longer than 16 KiB.
    """
    if not is_handle(text):
        raise HandleError(f"{_shown(text)} is no handle; one begins with {PREFIX!r}, take it from run.handle.")
    if len(text) > MAX_HANDLE_BYTES:
        raise HandleError(f"A handle of {len(text)} characters is above {MAX_HANDLE_BYTES}; take it from run.handle.")
    body = text.strip()[len(PREFIX) :]
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        handle: ExperimentHandle | RunHandle = _decoder.decode(raw)
        _check(handle)
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise HandleError(f"The handle {_shown(text)} is damaged ({error}); copy it whole from run.handle.") from None
    return handle


def _check(handle: ExperimentHandle | RunHandle) -> None:
    _check_id(handle.id)
    numbers = [handle.last_time_unix_nano]
    if isinstance(handle, RunHandle):
        _check(handle.experiment)
        if handle.group_id is not None:
            _check_id(handle.group_id)
        signed = [handle.seed or 0, *handle.last_steps.values()]
        numbers += [number if number >= 0 else ~number for number in signed]
        if not 1 <= handle.attempt <= _INT32_MAX:
            raise ValueError("its attempt is out of range")
    if not all(0 <= number <= _INT64_MAX for number in numbers):
        raise ValueError("a number is out of range")


def _check_id(text: str) -> None:
    """Refuse other spellings of an id too: to a store they would be another record's."""
    if str(uuid.UUID(text)) != text:
        raise ValueError(f"{_shown(text)} is no id as it is written in a handle")


def _shown(text: Any) -> str:
    return repr(text if not isinstance(text, str) or len(text) <= 40 else text[:40] + "...")
