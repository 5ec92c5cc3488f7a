"""A signal's attributes and its resource's in, who says it of what and when out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from evsys_otel import conventions as c
from evsys_otel.records import EntityKind
from evsys_otel.translate.attributes import INT32_MAX, Attributes

_HOST_NAME = "host.name"


class Attempt(NamedTuple):
    """Which recording of a run: its number, and what tells it from another of that number ('' for a first one)."""

    number: int
    id: str


@dataclass(frozen=True, slots=True)
class Source:
    """What a signal's resource says; ``run_id`` is set where somebody put our run's id on his own instruments."""

    project_id: str | None
    host: str | None
    run_id: str | None
    attempt: Attempt

    @classmethod
    def read(cls, resource_attributes: Any) -> Source:
        """Read the attributes of a resource."""
        attributes = Attributes(resource_attributes)
        return cls(
            attributes.record_id(c.PROJECT_ID),
            attributes.name(_HOST_NAME),
            attributes.record_id(c.RUN_ID),
            read_attempt(attributes),
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """One signal of ours: its attributes, the ids among them, its attempt (1 when it names none) and its time."""

    attributes: Attributes
    source: Source
    time_unix_nano: int
    experiment_id: str | None
    group_id: str | None
    run_id: str | None
    attempt: Attempt

    @classmethod
    def read(cls, attributes: Attributes, source: Source, time_unix_nano: int) -> Statement:
        """Read the ids from a signal's attributes."""
        return cls(
            attributes,
            source,
            time_unix_nano,
            attributes.record_id(c.EXPERIMENT_ID),
            attributes.record_id(c.GROUP_ID),
            attributes.record_id(c.RUN_ID),
            read_attempt(attributes),
        )

    def id_of(self, kind: EntityKind) -> str | None:
        """Return the id of the record of that kind that the signal names."""
        if kind == "run":
            return self.run_id
        if kind == "group":
            return self.group_id
        return self.experiment_id if kind == "experiment" else self.attributes.record_id(c.EVAL_ID)


def read_attempt(attributes: Attributes) -> Attempt:
    """Return the attempt that the attributes name, else the first."""
    return Attempt(attributes.integer(c.ATTEMPT, 1, INT32_MAX) or 1, attributes.record_id(c.ATTEMPT_ID) or "")
