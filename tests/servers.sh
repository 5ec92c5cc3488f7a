#!/bin/sh
# Installs the servers that tests use and this machine lacks; says so where it cannot, and the tests then skip aloud.
set -u
if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1; then
    exit 0
fi
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "Installing PostgreSQL for the store's tests ..."
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null; then
        exit 0
    fi
fi
echo "PostgreSQL is not installed and cannot be installed here: the tests that need it will be skipped." >&2
exit 0
