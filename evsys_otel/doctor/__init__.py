"""Settings in; findings out, one by one: what is configured, reachable, waiting and parked, then a marked run."""

from __future__ import annotations

from collections.abc import Iterator

from evsys_otel.doctor.check import Check
from evsys_otel.settings import Settings

__all__ = ["Check", "examine"]


def examine(settings: Settings, *, quick: bool = False) -> Iterator[Check]:
    """Yield every finding in the order in which a person mends them; ``quick`` sends no marked run.

    The store is created where there is none. Each finding comes as soon as it is known. The marked run is not sent to
    what has just been found not to answer.
    """
    from evsys_otel.doctor.configuration import check_settings
    from evsys_otel.doctor.destinations import check_destinations
    from evsys_otel.doctor.journals import check_journals
    from evsys_otel.doctor.storage import check_storage

    yield from check_settings(settings)
    yield from check_storage(settings)
    silent: list[str] = []
    for check in check_destinations(settings):
        silent += check.facts.get("signals", []) if check.state == "fail" else []
        yield check
    yield from check_journals(settings.journal_root)
    if not quick:
        from evsys_otel.doctor.burst import check_path

        yield from check_path(settings, without=silent)
