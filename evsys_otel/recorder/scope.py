"""What an experiment, a group and a run have in common: open until they are ended, by hand or by their body."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from evsys_otel.conventions import CANCELLED, COMPLETED, END_STATUSES, FAILED
from evsys_otel.normalize import clean_name, clean_text
from evsys_otel.recorder.guard import guarded, say_once
from evsys_otel.recorder.tracing import span_context

if TYPE_CHECKING:
    from typing_extensions import Self

    from evsys_otel.recorder.session import Session

MAX_ERROR_BYTES = 64 * 1024

_CANCELLATIONS = frozenset({"CancelledError", "GeneratorExit", "KeyboardInterrupt"})


def status_of(error: BaseException | None) -> tuple[str, str | None]:
    """Return the status, and the error's text, of what was left by this exception."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return COMPLETED, None
    if type(error).__name__ in _CANCELLATIONS:
        return CANCELLED, None
    text = clean_text(error)
    return FAILED, f"{type(error).__name__}: {text}" if text else type(error).__name__


def clean_end(status: object, error: object) -> tuple[str, str | None]:
    """Return a status and an error that a journal may hold; what is no status ends as failed if there is an error."""
    text = None if error is None else clean_text(error, MAX_ERROR_BYTES)
    if isinstance(status, str) and status in END_STATUSES:
        return status, text
    taken = FAILED if text else COMPLETED
    shown = clean_name(status)
    say_once(("status", shown), "%r is no status to end with; %s is taken", shown, taken)
    return taken, text


class Scope:
    """Base of Experiment, Group and Run. As a context manager it ends as its body ends, and lets exceptions pass."""

    def __init__(self, session: Session, record_id: str, name: str, *, trace: bool = False) -> None:
        self._session = session
        self._channel = session.channel
        self._id = record_id
        self._name = name
        self._trace = trace
        self._ended = False
        self._current = ExitStack()

    @property
    def id(self) -> str:
        """The record's id, a UUID."""
        return self._id

    @property
    def name(self) -> str:
        """The name as it is recorded."""
        return self._name

    @property
    def trace_id(self) -> str:
        """The experiment's trace id, 32 hex digits: its id without dashes."""
        raise NotImplementedError

    @property
    def span_id(self) -> str:
        """The id of this record's span, 16 hex digits."""
        raise NotImplementedError

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._ended

    def end(self, status: str = COMPLETED, error: object = None) -> None:
        """End it; ending twice is harmless."""
        raise NotImplementedError

    def flush(self, timeout: float | None = 30.0) -> bool:
        """Wait until all that was logged is acknowledged by every lane that is not switched off.

        ``timeout`` is in seconds, None waits without end. Returns whether it is; False at once where nothing ships.
        """
        return self._session.flush(timeout)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """Return itself: a copied trainer still records into the same run. Pickled, it records nothing elsewhere."""
        return self

    def __enter__(self) -> Self:
        self._enter_trace()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(error)

    @guarded(None)
    def _enter_trace(self) -> None:
        if self._trace and not self._channel.silent:
            self._current.enter_context(span_context(self.trace_id, self.span_id))

    @guarded(None)
    def _leave(self, error: BaseException | None) -> None:
        self._current.close()
        self.end(*status_of(error))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r} {self._id} {'ended' if self._ended else 'open'}>"
