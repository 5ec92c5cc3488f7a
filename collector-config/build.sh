#!/bin/sh
# Builds the collector of builder.yaml and prints the path of its binary; what was built before is found, not built again.
# It lies outside the tree, by version and by what the manifest says but its comments: another manifest, another binary.
#   build.sh            build where it is missing (needs Go; two to three minutes, once)
#   build.sh --find     print the path where it is there, else exit with 1
set -eu
here=$(cd "$(dirname "$0")" && pwd)
manifest=$here/builder.yaml
version=$(sed -n 's/^  version: *//p' "$manifest")
digest=$(grep -v '^ *#' "$manifest" | cksum | cut -d ' ' -f 1)
cache=${EVSYS_COLLECTOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/evsys-otel}
folder=$cache/collector-$version-$digest
binary=$folder/evsys-collector

if [ ! -x "$binary" ]; then
    [ "${1:-}" != --find ] || exit 1
    command -v go >/dev/null || { echo "Go is not installed: the collector cannot be built here." >&2; exit 1; }
    echo "Building the OpenTelemetry Collector $version (two to three minutes, once) ..." >&2
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/building.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"
    cd "$work"
    if ! go run "go.opentelemetry.io/collector/cmd/builder@v$version" --config "$manifest" >build.log 2>&1; then
        tail -n 40 build.log >&2
        exit 1
    fi
    mkdir -p "$folder"
    mv built/evsys-collector "$binary"
fi
echo "$binary"
