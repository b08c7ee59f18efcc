#!/bin/sh
# Runs a script of a browser against a platform of its own.
#
#   browse.sh CLARION SCRIPT [ARGUMENT...]     SCRIPT is in crates/dashboard/app/tests/browser, without .mjs
set -eu
clarion=${1:?which program}
script=${2:?which script}
shift 2
app="$(cd "$(dirname "$0")/../.." && pwd)/crates/dashboard/app"

# What only this script needs is installed when it runs.
tools="$app/$script"
if [ -e "$tools/package-lock.json" ] && [ ! -e "$tools/node_modules/.package-lock.json" ]; then
    (cd "$tools" && npm ci --silent)
fi

folder=$(mktemp -d)
# The private Postgres may be another user's, who must be able to enter.
chmod 755 "$folder"
env -u DATABASE_URL -u REDIS_URL -u SMTP_URL CLARION_DATA_DIR="$folder/data" \
    CLARION_HTTP_ADDR=127.0.0.1:0 CLARION_LOG=warn "$clarion" up >"$folder/ready" 2>"$folder/log" &
platform=$!
finish() {
    kill "$platform" 2>/dev/null || true
    wait "$platform" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
while ! grep -q '^ready ' "$folder/ready"; do
    kill -0 "$platform" 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
    sleep 0.2
done
node "$app/tests/browser/$script.mjs" "$(sed -n 's/^ready //p' "$folder/ready")" "$@"
