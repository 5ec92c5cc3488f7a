"""A PostgreSQL that two bridges share."""

from __future__ import annotations

from kit.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
