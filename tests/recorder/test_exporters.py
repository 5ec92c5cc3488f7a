"""Exporter objects of the user's own are shipped to from a thread of the training process."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.recorded import run_script


@pytest.mark.real
def test_an_exporter_object_is_given_what_was_logged(tmp_path: Path) -> None:
    """Spans reach the exporter before the process ends, and no shipper process is started."""
    done = run_script(
        """
        import sys
        import evsys_otel
        from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

        class Printer(SpanExporter):
            def export(self, spans):
                for span in spans: print(span.name, flush=True)
                return SpanExportResult.SUCCESS

        run = evsys_otel.start_run("r", experiment="x", exporters=[Printer()])
        run.log({"loss": 1.0})
        assert run.flush(30)
        """,
        tmp_path, EVSYS_OTEL_MODE="process", EVSYS_OTEL_STORE="none",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == ["run r", "experiment x", ""]
    assert not list((tmp_path / ".evsys" / "journal").glob("*/shipper.log"))
