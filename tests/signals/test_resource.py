"""The resource: facts of the training process, the user's words, and whose signals they are."""

from __future__ import annotations

from kit.event_sequences import make_identity
from kit.programs import EXPERIMENT_ID, RUN_ID, opening

from evsys_otel.signals import SignalBuilder


def resources(**attributes: str) -> list[dict[str, object]]:
    identity = make_identity(resource={"team": "vision", "deployment": "x"})
    logs = SignalBuilder(identity, resource_attributes=attributes).build(opening()).logs
    return [dict(log.resource.attributes) for log in logs]


def test_a_resource_tells_the_trainer_not_the_shipper() -> None:
    """Host, process and command are those in the journal; the instance is the run, outside a run the experiment."""
    experiment, group, run = resources()
    assert run == {
        "service.name": "evsys", "service.instance.id": RUN_ID, "evsys.project.id": "p-1", "host.name": "node-1",
        "process.pid": 4711, "process.command_args": ("train.py", "--token", "<redacted>"), "team": "vision",
        "deployment": "x",
    }  # fmt: skip
    assert experiment == group == {**run, "service.instance.id": EXPERIMENT_ID}


def test_the_users_attributes_win_but_for_whose_signals_they_are() -> None:
    """OTEL_RESOURCE_ATTRIBUTES beats the facts, not the project or the instance; its evsys ids are for others."""
    run = resources(**{
        "service.name": "digits", "host.name": "h", "deployment": "y", "service.instance.id": "z",
        "evsys.project.id": "other", "evsys.run.id": "other",
    })[2]  # fmt: skip
    assert (run["service.name"], run["host.name"], run["deployment"]) == ("digits", "h", "y")
    assert (run["service.instance.id"], run["evsys.project.id"]) == (RUN_ID, "p-1")
    assert "evsys.run.id" not in run
