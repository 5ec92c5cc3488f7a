"""Metrics data goes in, single points come out, and metrics data again of any selection of them.

OTLP splits between points, never inside one, so the point is the unit of metrics that is packed, split and parked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics


@dataclass(frozen=True, slots=True)
class Point:
    """One data point with all that it stands in."""

    resource: ResourceMetrics
    scope: ScopeMetrics
    metric: Metric
    point: Any


def unpack_points(batches: Iterable[MetricsData]) -> list[Point]:
    """Return every point, in order."""
    return [
        Point(resource, scope, metric, point)
        for data in batches
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def pack_points(points: Sequence[Point]) -> MetricsData:
    """Return metrics data of these points; equal resources and scopes are one, as the encoder needs it."""
    tree: dict[Any, dict[Any, dict[int, list[Point]]]] = {}
    branches: dict[tuple[int, int], dict[int, list[Point]]] = {}
    for item in points:
        place = (id(item.resource), id(item.scope))
        metrics = branches.get(place)
        if metrics is None:  # resources hash by their JSON text: once for each object, not for each point
            metrics = branches[place] = tree.setdefault(item.resource.resource, {}).setdefault(item.scope.scope, {})
        metrics.setdefault(id(item.metric), []).append(item)
    return MetricsData(
        resource_metrics=[
            ResourceMetrics(
                resource=resource,
                scope_metrics=[
                    ScopeMetrics(
                        scope=scope,
                        metrics=[_metric_of(group) for group in metrics.values()],
                        schema_url=next(iter(metrics.values()))[0].scope.schema_url,
                    )
                    for scope, metrics in scopes.items()
                ],
                schema_url=resource.schema_url,
            )
            for resource, scopes in tree.items()
        ]
    )


def _metric_of(group: Sequence[Point]) -> Metric:
    metric = group[0].metric
    data: Any = metric.data
    return replace(metric, data=replace(data, data_points=[item.point for item in group]))
