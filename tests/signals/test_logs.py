"""Log events: what they carry, and when."""

from __future__ import annotations

import msgspec
import pytest
from kit.event_sequences import make_identity
from kit.programs import EVAL_ID, EXPERIMENT_ID, GROUP_ID, RUN_ID, T0, closing, opening, steps
from opentelemetry import trace
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import TracerProvider

from evsys_otel import conventions as c
from evsys_otel import events as e
from evsys_otel.signals import SignalBuilder
from evsys_otel.signals.totals import MAX_PART_BYTES


def logs_of(events: list[e.Event], **options: bool) -> list[ReadableLogRecord]:
    return SignalBuilder(make_identity(), **options).build(events).logs


def attributes_of(log: ReadableLogRecord) -> dict[str, object]:
    return dict(log.log_record.attributes or {})


def test_records_travel_at_once_by_event_name() -> None:
    """Every start and end is a log event with the trace and span of its record, at its time."""
    logs = logs_of([*opening(), *closing()])
    assert [log.log_record.event_name for log in logs] == [
        c.EVENT_EXPERIMENT_START, c.EVENT_GROUP_START, c.EVENT_RUN_START,
        c.EVENT_RUN_END, c.EVENT_GROUP_END, c.EVENT_EXPERIMENT_END,
    ]  # fmt: skip
    run = logs[2].log_record
    assert (run.timestamp, run.observed_timestamp) == (T0 + 3, T0 + 3)
    assert f"{run.trace_id:032x}" == EXPERIMENT_ID.replace("-", "")
    assert f"{run.span_id:016x}" == RUN_ID.replace("-", "")[16:]
    assert attributes_of(logs[2]) == {
        c.RECORD: "run", c.EXPERIMENT_ID: EXPERIMENT_ID, c.EXPERIMENT_NAME: "sweep", c.GROUP_ID: GROUP_ID,
        c.GROUP_NAME: "lr=0.1", c.RUN_ID: RUN_ID, c.RUN_NAME: "seed=0", c.RUN_SEED: 0, c.RUN_RECIPE: "sft",
        c.RUN_CONFIG: '{"lr":0.1}', c.RUN_STATUS: "running",
    }  # fmt: skip


def test_signals_take_nothing_from_where_they_are_built() -> None:
    """A span that is current where signals are built, and the clock, do not get into them."""
    tracer = TracerProvider().get_tracer("other")
    with trace.use_span(tracer.start_span("other")):
        inside = logs_of([*opening(), *closing()])
    outside = logs_of([*opening(), *closing()])
    facts = [[vars(log.log_record) | {"context": None} for log in logs] for logs in (inside, outside)]
    assert facts[0] == facts[1]


def test_the_end_carries_the_totals() -> None:
    """A run's end says how many calls each key set had."""
    end = logs_of([*opening(), *closing(calls=3)])[3]
    assert msgspec.json.decode(str(attributes_of(end)[c.RUN_TOTALS])) == {
        "part": 1, "parts": 1, "keysets": [{"split": "train", "keyset": 0, "names": ["loss", "acc"], "calls": 3}],
        "predictions": 0, "evals": 0, "checkpoints": 0, "unattributed": 0,
    }  # fmt: skip


def test_large_totals_are_split_over_several_events() -> None:
    """Totals beyond the bound come in parts, even when a single key set is beyond it, and nothing is left out."""
    names = [f"metric/{'x' * 200}/{number}" for number in range(4000)]
    totals = [e.StreamTotal(0, "train", 0, names, 9), e.StreamTotal(1, "val", 1, names[:2000], 8)]
    logs = logs_of([*opening(), e.RunEnded(T0 + 1000, 0, RUN_ID, "completed", streams=totals)])[3:]
    texts = [str(attributes_of(log)[c.RUN_TOTALS]) for log in logs]
    parts = [msgspec.json.decode(text) for text in texts]
    assert [log.log_record.event_name for log in logs] == [c.EVENT_RUN_END] + [c.EVENT_RUN_TOTALS] * (len(parts) - 1)
    assert [part["part"] for part in parts] == list(range(1, len(parts) + 1))
    assert {part["parts"] for part in parts} == {len(parts)}
    assert max(map(len, texts)) < 1.2 * MAX_PART_BYTES
    told = {(k["split"], name, k["calls"]) for part in parts for k in part["keysets"] for name in k["names"]}
    assert told == {("train", name, 9) for name in names} | {("val", name, 8) for name in names[:2000]}


@pytest.mark.parametrize("texts", [True, False])
def test_a_prediction_is_an_event_of_its_own(texts: bool) -> None:
    """Each row is one event, numbered on from the call's first; without texts it is marked and has only numbers."""
    rows = [e.PredictionRow("t", index, "say", "said", "say", 1.0, None, '{"g":1}') for index in range(2)]
    event = e.PredictionsLogged(T0 + 9, 0, 5, "eval", rows, 100, EVAL_ID)
    logs = logs_of([*opening(), event], prediction_texts=texts)[3:]
    assert [attributes_of(log)[c.ORDINAL] for log in logs] == [5, 6]
    assert attributes_of(logs[0]) == {
        c.RECORD: "prediction", c.EXPERIMENT_ID: EXPERIMENT_ID, c.GROUP_ID: GROUP_ID, c.RUN_ID: RUN_ID,
        c.EVAL_ID: EVAL_ID, c.STEP: 100, c.ORDINAL: 5, **({} if texts else {c.SHORTENED: True}),
    }  # fmt: skip
    spoken = {"instruction": "say", "model_output": "said", "expected": "say", "metadata": '{"g":1}'} if texts else {}
    assert logs[0].log_record.body == {"kind": "eval", "task_id": "t", "sample_idx": 0, "reward": 1.0, **spoken}


def test_a_heartbeat_tells_the_last_step_of_each_open_run() -> None:
    """The live shipper's sign of life has its own time and the run's last step; an ended run has none."""
    builder = SignalBuilder(make_identity())
    builder.build([*opening(), *steps(4, 5)])
    (beat,) = builder.heartbeat(T0 + 10**9).logs
    assert beat.log_record.event_name == c.EVENT_RUN_HEARTBEAT
    assert (beat.log_record.timestamp, attributes_of(beat)[c.RUN_LAST_STEP]) == (T0 + 10**9, 5)
    builder.build(closing())
    assert not builder.heartbeat(T0 + 2 * 10**9)


def test_a_signal_that_is_turned_off_is_not_built() -> None:
    """Each of the three signals can be left out."""
    events = [*opening(), *steps(1), *closing()]
    for name in ("traces", "metrics", "logs"):
        signals = SignalBuilder(make_identity(), **{name: False}).build(events)
        built = {"traces": signals.spans, "metrics": signals.metrics, "logs": signals.logs}
        assert {key for key, value in built.items() if not value} == {name}
