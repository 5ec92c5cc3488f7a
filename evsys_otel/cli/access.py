"""A store's URL or the settings in; the open store out, with ids, prefixes and names resolved to records."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from evsys_otel.errors import ConfigurationError, NotFoundError, StoreError
from evsys_otel.settings import Settings, resolve_settings

if TYPE_CHECKING:
    from evsys_otel.store import Store

LIKE_AN_ID = re.compile(r"[0-9a-fA-F-]{4,36}")
"""What is looked for among ids before names; anything else may be a name first."""

Kind = Literal["experiment", "group", "run"]


@dataclass(frozen=True, slots=True)
class Target:
    """A record that an argument named."""

    kind: Kind
    id: str
    name: str
    record: dict[str, Any]


class Place:
    """An open store with the settings that led to it."""

    def __init__(self, store: Store, settings: Settings, label: str) -> None:
        self.store = store
        self.settings = settings
        self.label = label

    def find(self, identifier: str, *, unique: bool = False) -> Target:
        """Return the record with this id, unique prefix of one, or name.

        Of several records with the name the newest is taken, which is said on standard error.

        Raises:
            NotFoundError: there is none, or the prefix has several.
            StoreError: with ``unique`` the name has several.
        """
        named = None if LIKE_AN_ID.fullmatch(identifier) else self._find_name(identifier, unique=unique)
        if named is not None:
            return named
        try:
            return self.load(*self.store.find_id(identifier))
        except NotFoundError:
            named = self._find_name(identifier, unique=unique)
            if named is None:
                raise
            return named

    def load(self, kind: str, identifier: str) -> Target:
        """Return the record of an id; raises NotFoundError when it was removed meanwhile."""
        record = self._record(kind, identifier)
        if record is None:
            raise NotFoundError(f"The {kind} {identifier} is no longer in {self.label}.")
        return Target(kind, identifier, record["name"] or "", record)  # type: ignore[arg-type]

    def runs_of(self, target: Target) -> list[dict[str, Any]]:
        """Return the runs of an experiment or a group, or the run itself, the oldest first."""
        if target.kind == "run":
            return [target.record]
        if target.kind == "group":
            return self.store.list_runs(group_id=target.id)
        return self.store.list_runs(experiment_id=target.id)

    def _record(self, kind: str, identifier: str) -> dict[str, Any] | None:
        if kind == "experiment":
            return self.store.get_experiment(identifier)
        if kind == "run":
            return self.store.get_run(identifier)
        return next((group for group in self._groups() if group["id"] == identifier), None)

    def _groups(self) -> Iterator[dict[str, Any]]:
        for experiment in self.store.list_experiments():
            yield from self.store.list_groups(experiment["id"])

    def _find_name(self, name: str, *, unique: bool) -> Target | None:
        for kind, records in self._by_kind():
            named = [record for record in records if record["name"] == name]
            if not named:
                continue
            if len(named) > 1 and unique:
                ids = ", ".join(sorted(record["id"] for record in named)[:8])
                raise StoreError(f"{len(named)} {kind}s are named {name!r}; give the beginning of an id: {ids}.")
            newest = max(named, key=started)
            if len(named) > 1:
                print(f"{len(named)} {kind}s are named {name!r}; this is the newest, {newest['id']}.", file=sys.stderr)
            return Target(kind, newest["id"], name, newest)
        return None

    def _by_kind(self) -> Iterator[tuple[Kind, list[dict[str, Any]]]]:
        yield "run", self.store.list_runs()
        yield "experiment", self.store.list_experiments()
        yield "group", list(self._groups())


def started(record: dict[str, Any]) -> int:
    """Return when a record began, in nanoseconds, 0 when it is not known."""
    return record["started_unix_nano"] or record["created_unix_nano"] or 0


@contextmanager
def reading(url: str | None) -> Iterator[Place]:
    """Open the store for looking; one that nobody has written yet reads as empty and is not created.

    Raises:
        ConfigurationError: the URL cannot be used, or the settings say that there is no store.
        StoreError: the store cannot be opened.
    """
    from evsys_otel.store import open_store
    from evsys_otel.store.location import locate

    settings = resolve_settings(store=url)
    if settings.store_url is None:
        raise ConfigurationError("There is no store, since EVSYS_OTEL_STORE is `none`; name one with --store URL.")
    location = locate(settings.store_url)
    with ExitStack() as stack:
        opened = settings.store_url
        if location.path is not None and not location.path.exists():
            opened = f"sqlite:///{stack.enter_context(TemporaryDirectory(prefix='evsys-otel-'))}/empty.db"
        store = stack.enter_context(open_store(opened))
        yield Place(store, settings, store_label(location.path, location.shown))


def store_label(path: Path | None, shown: str) -> str:
    """Return where a store is as people say it: a file's path, relative where that is shorter."""
    if path is None:
        return shown
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
