"""Plain facts about the training process in, the OpenTelemetry resource of one of its runs out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import (
    HOST_NAME,
    PROCESS_COMMAND_ARGS,
    PROCESS_PID,
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    Resource,
)
from opentelemetry.util.types import AnyValue

from evsys_otel.conventions import PROJECT_ID

if TYPE_CHECKING:
    from evsys_otel.journal import Identity

DEFAULT_SERVICE_NAME = "evsys"
_OURS = "evsys."


class ResourceMaker:
    """Makes the resources of one journal's signals.

    The user's own attributes (``OTEL_SERVICE_NAME``, ``OTEL_RESOURCE_ATTRIBUTES``) beat the journal's facts; what says
    whose signals these are cannot be overridden. ``evsys.*`` in them is meant for other instruments: it is left out.
    """

    def __init__(self, identity: Identity, resource_attributes: Mapping[str, str]) -> None:
        self._facts: dict[str, AnyValue] = {
            SERVICE_NAME: DEFAULT_SERVICE_NAME,
            HOST_NAME: identity.host,
            PROCESS_PID: identity.pid,
            PROCESS_COMMAND_ARGS: list(identity.command),
        }
        for attributes in (identity.resource, resource_attributes):
            self._facts.update({k: v for k, v in attributes.items() if k and v and not k.startswith(_OURS)})

    def make(self, instance_id: str, project_id: str | None) -> Resource:
        """Return the resource of a run (outside a run: of the experiment) with that id.

        ``service.instance.id`` is that id, so that Prometheus keeps one series for a run's metric whichever process
        sent it.
        """
        project: dict[str, AnyValue] = {PROJECT_ID: project_id} if project_id else {}
        return Resource({**self._facts, SERVICE_INSTANCE_ID: instance_id, **project})
