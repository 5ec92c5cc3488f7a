"""The shipper: journals go in, deliveries by independent lanes to the store, OTLP and handed-in exporters come out."""
