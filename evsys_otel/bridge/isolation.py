"""A request and its sender's grant go in; what may be written comes out, by project, and later what became of it.

A resource's signals belong to the project that it names, or else to the token's only one. Whether the ids in them are
that project's to write is decided by the store, within the transaction: signals that name the same ids are one part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from evsys_otel import conventions as c
from evsys_otel.bridge.auth import Grant
from evsys_otel.bridge.replies import Refused, Taken
from evsys_otel.records import Records
from evsys_otel.store import Part
from evsys_otel.translate import project_of

NO_PROJECT = "do not name a project of this token as their resource's evsys.project.id"
ANOTHERS = "name an experiment, group, run or eval that belongs to another project"

_SHAPES = (
    ("resource_spans", "scope_spans", "spans"), ("resource_logs", "scope_logs", "log_records"),
    ("resource_metrics", "scope_metrics", "metrics"),
)  # fmt: skip
"""What a request has of resources, a resource of scopes, and a scope of signals, by the request's kind."""

_ID_KEYS = {c.EXPERIMENT_ID, c.GROUP_ID, c.RUN_ID, c.EVAL_ID}


@dataclass(slots=True)
class Admission:
    """What of a request is to be written; ``ignored`` counts what is not ours."""

    parts: list[Part] = field(default_factory=list)
    ignored: int = 0
    _sizes: list[int] = field(default_factory=list)
    _refused: int = 0

    def add(self, records: Records, size: int, project_id: str | None, grant: Grant) -> None:
        """Take the records of ``size`` signals of a project, or refuse them."""
        self.ignored += records.ignored
        if not records:
            return
        if not grant.allows(project_id):
            self._refused += size
            return
        _set_project(records, project_id)
        self.parts.append(Part(records, project_id))
        self._sizes.append(size)

    def settle(self, written: Sequence[bool]) -> Taken:
        """Return the outcome when the store has said of each part whether it was written.

        Raises:
            Refused: there were records, and none of them was written.
        """
        of_others = sum(size for size, is_written in zip(self._sizes, written, strict=True) if not is_written)
        rejected = self._refused + of_others
        if not rejected:
            return Taken()
        reasons = [f"{count} {why}" for count, why in ((self._refused, NO_PROJECT), (of_others, ANOTHERS)) if count]
        message = f"Of the records {' and '.join(reasons)}."
        if not any(written):
            raise Refused("forbidden", message)
        return Taken(rejected, message)


def admit(message: Any, translate: Callable[[Any], Records], grant: Grant) -> Admission:
    """Return what of an OTLP request its sender may write."""
    admission = Admission()
    for project_id, size, part in _take_apart(message):
        admission.add(translate(part), size, grant.only_project if project_id is None else project_id, grant)
    return admission


def admit_all(message: Any, translate: Callable[[Any], Records], _grant: Grant) -> Admission:
    """Return the same where no token is needed, and the newest word on a record's project counts, as for any field."""
    records = translate(message)
    return Admission([Part(records, None)] if records else [], records.ignored, [0] if records else [])


class _Place(NamedTuple):
    """A signal with what it stands in; of a span or log record ``item`` is itself, of a point its metric."""

    of_resource: Any
    of_scope: Any
    item: Any
    signal: Any


def _take_apart(message: Any) -> Iterator[tuple[str | None, int, Any]]:
    """Yield, for the signals that name the same ids, their project, how many they are, and a request of them alone."""
    places: defaultdict[tuple[str | None, frozenset[tuple[str, str]]], list[_Place]] = defaultdict(list)
    resources, scopes, signals = shape = next(shape for shape in _SHAPES if hasattr(message, shape[0]))
    for of_resource in getattr(message, resources):
        project_id = project_of(of_resource.resource)
        above = {key: value for key, value in _ids_among(of_resource.resource.attributes) if key == c.RUN_ID}
        for of_scope in getattr(of_resource, scopes):
            for item in getattr(of_scope, signals):
                for signal in _signals_of(item):
                    ids = above | dict(_ids_among(signal.attributes))
                    places[project_id, frozenset(ids.items())].append(_Place(of_resource, of_scope, item, signal))
    for (project_id, _), own in places.items():  # mostly a request is about one run
        yield project_id, len(own), message if len(places) == 1 else _request_of(type(message)(), own, shape)


def _request_of(request: Any, places: Iterable[_Place], shape: tuple[str, str, str]) -> Any:
    """Fill an empty request with these signals, and return it."""
    resources, scopes, signals = shape
    last: _Place | None = None
    for place in places:
        if last is None or place.of_resource is not last.of_resource:
            resource = getattr(request, resources).add(resource=place.of_resource.resource)
        if last is None or place.of_scope is not last.of_scope:
            scope = getattr(resource, scopes).add()
        if place.item is place.signal:
            getattr(scope, signals).append(place.signal)
        else:
            if last is None or place.item is not last.item:
                metric = scope.metrics.add(name=place.item.name)
            getattr(metric, place.item.WhichOneof("data")).data_points.append(place.signal)
        last = place
    return request


def _signals_of(item: Any) -> Iterable[Any]:
    """Return a span or a log record itself, of a metric its points."""
    if item.DESCRIPTOR.name != "Metric":
        return (item,)
    kind = item.WhichOneof("data")
    return getattr(item, kind).data_points if kind else ()


def _ids_among(attributes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    return ((each.key, each.value.string_value) for each in attributes if each.key in _ID_KEYS)


def _set_project(records: Records, project_id: str | None) -> None:
    records.entities = [
        entity if entity.project_id == project_id else replace(entity, project_id=project_id)
        for entity in records.entities
    ]
