"""A request and its sender's grant go in; what may be written comes out, by project, and later what became of it.

A resource's signals belong to the project that it names, or else to the token's only one. Whether the ids in them are
that project's to write is decided by the store, within the transaction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from evsys_otel import conventions as c
from evsys_otel.bridge.auth import Grant
from evsys_otel.bridge.replies import Refused, Taken
from evsys_otel.records import Records
from evsys_otel.store import Part
from evsys_otel.store.texts import id_text
from evsys_otel.translate import project_of

NO_PROJECT = "do not name a project of this token as their resource's evsys.project.id"
ANOTHERS = "name an experiment, group, run or eval that belongs to another project"

_SHAPES = (
    ("resource_spans", "scope_spans", "spans"), ("resource_logs", "scope_logs", "log_records"),
    ("resource_metrics", "scope_metrics", "metrics"),
)  # fmt: skip
"""What a request has of resources, a resource of scopes, and a scope of signals, by the request's kind."""

_ID_KEYS = {c.EXPERIMENT_ID, c.GROUP_ID, c.RUN_ID, c.EVAL_ID}

_Named = Counter[frozenset[str]]
"""How many spans, log records or data points name which ids."""


@dataclass(slots=True)
class Admission:
    """What of a request is to be written; ``ignored`` counts what is not ours."""

    parts: list[Part] = field(default_factory=list)
    ignored: int = 0
    _named: list[_Named] = field(default_factory=list)
    _refused: int = 0

    def add(self, message: Any, records: Records, project_id: str | None, grant: Grant) -> None:
        """Take one project's part of the request, or refuse it."""
        self.ignored += records.ignored
        if not records:
            return
        named = _named_by(message, _ids_of(records))
        if not grant.allows(project_id):
            self._refused += named.total()
            return
        _set_project(records, project_id)
        self.parts.append(Part(records, project_id))
        self._named.append(named)

    def settle(self, refused: Sequence[frozenset[str]]) -> Taken:
        """Return the outcome when the store has written the parts without the ids that it refused to each.

        Raises:
            Refused: there were records, and none of them was written.
        """
        of_others = 0
        for named, ids in zip(self._named, refused, strict=True):
            of_others += sum(count for own, count in named.items() if not own.isdisjoint(ids))
        rejected = self._refused + of_others
        if not rejected:
            return Taken()
        reasons = [f"{count} {why}" for count, why in ((self._refused, NO_PROJECT), (of_others, ANOTHERS)) if count]
        message = f"Of the records {' and '.join(reasons)}."
        if of_others == sum(named.total() for named in self._named):
            raise Refused("forbidden", message)
        return Taken(rejected, message)


def admit(message: Any, translate: Callable[[Any], Records], grant: Grant) -> Admission:
    """Return what of an OTLP request its sender may write."""
    admission = Admission()
    for project_id, part in _by_project(message):
        admission.add(part, translate(part), grant.only_project if project_id is None else project_id, grant)
    return admission


def admit_all(message: Any, translate: Callable[[Any], Records], _grant: Grant) -> Admission:
    """Return the same where no token is needed, and the newest word on a record's project counts, as for any field."""
    records = translate(message)
    return Admission([Part(records, None)] if records else [], records.ignored, [Counter()] if records else [])


def _by_project(message: Any) -> Iterator[tuple[str | None, Any]]:
    """Yield each project that the resources name, with its part of the message; mostly that is one and all of it."""
    resources, _, _ = _shape_of(message)
    by_project: defaultdict[str | None, list[Any]] = defaultdict(list)
    for of_resource in getattr(message, resources):
        by_project[project_of(of_resource.resource)].append(of_resource)
    for project_id, own in by_project.items():
        yield project_id, message if len(by_project) == 1 else type(message)(**{resources: own})


def _set_project(records: Records, project_id: str | None) -> None:
    records.entities = [
        entity if entity.project_id == project_id else replace(entity, project_id=project_id)
        for entity in records.entities
    ]


def _ids_of(said: Records) -> set[str]:
    """Return the ids of what the records are about, as the store keeps them."""
    of_runs = (said.series, said.predictions, said.checkpoints, said.receipts, said.totals, said.seen)
    ids = {entity.id for entity in said.entities} | {record.run_id for group in of_runs for record in group}
    return set(map(id_text, ids))


def _named_by(message: Any, ids: Set[str]) -> _Named:
    """Count the spans, log records or data points of a message by those of the ids that they name."""
    named: _Named = Counter()
    resources, scopes, signals = _shape_of(message)
    for of_resource in getattr(message, resources):
        above = {key: value for key, value in _ids_among(of_resource.resource.attributes) if key == c.RUN_ID}
        for of_scope in getattr(of_resource, scopes):
            for item in getattr(of_scope, signals):
                for signal in _signals_of(item):
                    own = {**above, **dict(_ids_among(signal.attributes))}
                    named[frozenset(own.values()) & ids] += 1
    del named[frozenset()]
    return named


def _shape_of(message: Any) -> tuple[str, str, str]:
    return next(shape for shape in _SHAPES if hasattr(message, shape[0]))


def _signals_of(item: Any) -> Iterable[Any]:
    """Return a span or a log record itself, of a metric its points."""
    if item.DESCRIPTOR.name != "Metric":
        return (item,)
    kind = item.WhichOneof("data")
    return getattr(item, kind).data_points if kind in {"gauge", "sum"} else ()


def _ids_among(attributes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    return ((each.key, id_text(each.value.string_value)) for each in attributes if each.key in _ID_KEYS)
