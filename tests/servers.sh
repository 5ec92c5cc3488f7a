#!/bin/sh
# Installs the servers that tests use and this machine lacks; says so where it cannot, and the tests then skip aloud.
set -u
lacking=
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || lacking="$lacking postgresql"
command -v prometheus >/dev/null 2>&1 && command -v promtool >/dev/null 2>&1 || lacking="$lacking prometheus"
PATH=$PATH:/usr/sbin command -v haproxy >/dev/null 2>&1 || lacking="$lacking haproxy"
[ -n "$lacking" ] || exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "Installing$lacking for the tests ..."
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    if apt-get update -qq && apt-get install -y -qq --no-install-recommends $lacking >/dev/null; then
        exit 0
    fi
fi
echo "Not installed, and cannot be installed here:$lacking. The tests that need it will be skipped." >&2
exit 0
