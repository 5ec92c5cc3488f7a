"""Machine-learning experiment tracking as OpenTelemetry, and back into the evsys store, exactly once."""
