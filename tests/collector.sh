#!/bin/sh
# Builds the collector that tests run, where it is not there yet and Go is; says aloud where neither is.
set -u
build=$(dirname "$0")/../collector-config/build.sh
if sh "$build" --find >/dev/null || sh "$build" >/dev/null; then
    exit 0
fi
echo "****************************************************************************************************" >&2
echo "NO COLLECTOR: the tests with a real OpenTelemetry Collector will be SKIPPED (install Go, \`make collector\`)." >&2
echo "****************************************************************************************************" >&2
exit 0
