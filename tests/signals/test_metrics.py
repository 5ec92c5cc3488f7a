"""Metrics: one gauge a name, one exemplar a step, and numbers by which receipts can be kept."""

from __future__ import annotations

from kit.event_sequences import make_identity
from kit.programs import EXPERIMENT_ID, GROUP_ID, RUN_ID, T0, opening, pack, steps
from opentelemetry.sdk.metrics.export import NumberDataPoint

from evsys_otel import conventions as c
from evsys_otel import events as e
from evsys_otel.signals import SignalBuilder, Signals


def points_of(signals: Signals, name: str) -> list[NumberDataPoint]:
    return [
        point
        for data in signals.metrics
        for of_scope in data.resource_metrics[0].scope_metrics
        for metric in of_scope.metrics
        if metric.name == name
        for point in metric.data.data_points
        if isinstance(point, NumberDataPoint)
    ]


def test_a_point_is_the_last_value_with_an_exemplar_for_each_step() -> None:
    """A point carries its series' ids and names, the last value and time, and every step as an exemplar."""
    signals = SignalBuilder(make_identity()).build([*opening(), *steps(7, 8)])
    (point,) = points_of(signals, "evsys.run.loss")
    assert point.attributes == {
        c.EXPERIMENT_ID: EXPERIMENT_ID, c.EXPERIMENT_NAME: "sweep", c.GROUP_ID: GROUP_ID, c.GROUP_NAME: "lr=0.1",
        c.RUN_ID: RUN_ID, c.RUN_NAME: "seed=0", c.SPLIT: "train", c.METRIC_NAME: "loss",
    }  # fmt: skip
    assert (point.value, point.time_unix_nano) == (8.5, T0 + 101)
    first, second = point.exemplars
    assert first.filtered_attributes == {c.STEP: 7, c.ORDINAL: 0, c.KEYSET: 0}
    assert second.filtered_attributes == {c.STEP: 8}
    assert [(exemplar.value, exemplar.time_unix_nano) for exemplar in point.exemplars] == [
        (7.5, T0 + 100), (8.5, T0 + 101),
    ]  # fmt: skip
    assert {f"{exemplar.trace_id:032x}" for exemplar in point.exemplars} == {EXPERIMENT_ID.replace("-", "")}


def test_a_gap_in_the_numbers_begins_a_new_point() -> None:
    """A point holds consecutive log calls only, since receivers count on from its first."""
    signals = SignalBuilder(make_identity()).build([*opening(), *steps(0, 1), *steps(3, 4, ordinal=3, time=T0 + 200)])
    firsts = [point.exemplars[0].filtered_attributes for point in points_of(signals, "evsys.run.acc")]
    assert firsts == [{c.STEP: 0, c.ORDINAL: 0, c.KEYSET: 0}, {c.STEP: 3, c.ORDINAL: 3, c.KEYSET: 0}]


def test_a_point_is_bounded() -> None:
    """No point holds more exemplars than the bound: collectors cannot split one."""
    signals = SignalBuilder(make_identity(), max_point_exemplars=3).build([*opening(), *steps(*range(8))])
    assert [len(point.exemplars) for point in points_of(signals, "evsys.run.loss")] == [3, 3, 2]


def test_the_attempt_is_told_from_the_second_on() -> None:
    """A later attempt's number is on the first exemplar, and its span on all."""
    events = [*opening(attempt=2, span_id="00000000000000ff"), *steps(1, 2)]
    (point,) = points_of(SignalBuilder(make_identity()).build(events), "evsys.run.loss")
    assert [exemplar.span_id for exemplar in point.exemplars] == [0xFF, 0xFF]
    assert [(exemplar.filtered_attributes or {}).get(c.ATTEMPT) for exemplar in point.exemplars] == [2, None]


def test_names_that_share_an_instrument_stay_apart() -> None:
    """Names that OpenTelemetry forbids share an instrument; the exact name tells their series apart."""
    events = [*opening(), e.KeySetDeclared(1, ["a b", "a_b"]), e.StreamDeclared(1, 0, "val", 1),
              e.StepLogged(T0 + 9, 1, 0, 0, pack(1.0, 2.0))]  # fmt: skip
    points = points_of(SignalBuilder(make_identity()).build(events), "evsys.run.a_b")
    assert [(point.attributes or {})[c.METRIC_NAME] for point in points] == ["a b", "a_b"]


def test_each_run_is_its_own_instance() -> None:
    """A run's resource names the run as the service's instance, one run a MetricsData."""
    second = "bbbbbbbb-bbbb-4ccc-8ddd-eeeeeeeeeeee"
    events = [*opening(), e.RunStarted(T0 + 5, 1, 0, second, "seed=1"), e.StreamDeclared(1, 1, "train", 0),
              *steps(0), *steps(0, stream=1, time=T0 + 300)]  # fmt: skip
    signals = SignalBuilder(make_identity()).build(events)
    instances = [data.resource_metrics[0].resource.attributes["service.instance.id"] for data in signals.metrics]
    assert instances == [RUN_ID, second]
