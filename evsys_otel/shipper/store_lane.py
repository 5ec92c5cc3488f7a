"""Signals go in, records and the lane's position in one transaction of the store come out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import fields

from evsys_otel.errors import ConfigurationError, StoreError, StoreUnavailable, StoreVersionError
from evsys_otel.journal import Identity
from evsys_otel.normalize import redact_uri
from evsys_otel.otlp import Refused, Taken, TryLater
from evsys_otel.records import Records
from evsys_otel.shipper.parked import Parked
from evsys_otel.shipper.sinks import Delivery, Trouble
from evsys_otel.signals import SignalBuilder, Signals
from evsys_otel.store import Store, open_store
from evsys_otel.store.location import locate
from evsys_otel.translate import translate_logs, translate_metrics, translate_spans

_logger = logging.getLogger(__name__)

STORE_LANE = "store"
KINDS = tuple(field.name for field in fields(Records) if field.name != "ignored")


def translate_signals(signals: Signals) -> Records:
    """Return what signals of all three kinds say, in one set of records."""
    records = Records()
    records.extend(translate_logs(signals.logs))
    records.extend(translate_spans(signals.spans))
    for data in signals.metrics:
        records.extend(translate_metrics(data))
    return records


class StoreSink:
    """The store as a lane's destination: all signals in journal order, acknowledged by the store itself."""

    name = STORE_LANE
    heartbeats = True

    def __init__(self, url: str, journal_id: str, *, open_store: Callable[[str], Store] = open_store) -> None:
        self.destination = _describe_url(url)
        self._url = url
        self._journal_id = journal_id
        self._open_store = open_store
        self._store: Store | None = None

    def builder(self, identity: Identity) -> SignalBuilder:
        """Return a builder of all signals."""
        return SignalBuilder(identity)

    def open(self, acknowledged: int) -> int | Trouble:
        """Open the store and return the position that it holds: another store than the last one holds none."""
        try:
            if self._store is None:
                self._store = self._open_store(self._url)
            return self._store.journal_position(self._journal_id)
        except (ConfigurationError, StoreVersionError) as error:
            return Refused(str(error), "sender")
        except StoreError as error:
            return TryLater(str(error), None)

    def deliver(self, signals: Signals, position: int) -> Delivery:
        """Write what the signals say together with the position; all of it or nothing."""
        assert self._store is not None, "open comes before deliver"
        records = translate_signals(signals)
        try:
            self._store.write(records, journal=(self._journal_id, position))
        except StoreUnavailable as error:
            return Delivery(TryLater(str(error), None), signals)
        except StoreVersionError as error:
            return Delivery(Refused(str(error), "sender"), signals)
        except StoreError as error:
            return self._deliver_split(self._store, records, signals, position, error)
        return Delivery(Taken())

    def interrupt(self) -> None:
        """A transaction ends by itself within the store's own timeout."""

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _deliver_split(
        self, store: Store, records: Records, signals: Signals, position: int, reason: StoreError
    ) -> Delivery:
        """Write record by record what the store refuses as a whole, then the position."""
        parked: list[Parked] = []
        try:
            if not self._takes_anything(store):
                return Delivery(Refused(str(reason), "sender"), signals)
            _write_halves(store, records, parked, self.name)
            store.write(Records(), journal=(self._journal_id, position))
        except StoreError as error:
            return Delivery(TryLater(str(error), None), signals)
        return Delivery(Taken(), parked=parked)

    def _takes_anything(self, store: Store) -> bool:
        """Whether it is the records that are refused, and not whoever writes. Raises StoreUnavailable."""
        try:
            store.write(Records(), journal=(self._journal_id, 0))  # a position never goes back
        except StoreUnavailable:
            raise
        except StoreError:
            return False
        return True


def _describe_url(url: str) -> str:
    """Return where a store is without its password, the same from any working directory."""
    try:
        return locate(url).shown
    except ConfigurationError:
        return redact_uri(url)


def _write_halves(store: Store, records: Records, parked: list[Parked], lane: str) -> None:
    """Write ``records`` in ever smaller halves, until what is refused stands alone; only StoreUnavailable passes."""
    try:
        store.write(records)
    except StoreUnavailable:
        raise
    except StoreError as error:
        items = list(_items(records))
        if len(items) <= 1:
            parked += [Parked(lane, _describe(item), str(error)) for _, item in items]
            return
        half = len(items) // 2
        _write_halves(store, _records_of(items[:half]), parked, lane)
        _write_halves(store, _records_of(items[half:]), parked, lane)


def _items(records: Records) -> Iterator[tuple[str, object]]:
    for kind in KINDS:
        for item in getattr(records, kind):
            yield kind, item


def _records_of(items: list[tuple[str, object]]) -> Records:
    records = Records()
    for kind, item in items:
        getattr(records, kind).append(item)
    return records


def _describe(item: object) -> str:
    ids = {name: getattr(item, name, None) for name in ("kind", "id", "run_id", "split", "name", "step", "ordinal")}
    return type(item).__name__ + " " + " ".join(f"{name}={value}" for name, value in ids.items() if value is not None)
