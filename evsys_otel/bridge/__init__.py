"""The bridge: OTLP in over gRPC and HTTP, records into the store, answered only when they are committed."""
