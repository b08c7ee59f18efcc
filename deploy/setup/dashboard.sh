#!/bin/sh
# Builds the dashboard, if its sources are newer than what was built. Without a Node.js that can do
# it, says so and leaves it out: the API is served alone.
#
#   dashboard.sh          builds what the gateway embeds
#   dashboard.sh check    also its linter and its tests; here Node.js is needed
set -eu
cd "$(dirname "$0")/../../crates/dashboard/app"

say() { printf 'setup: %s\n' "$*" >&2; }

# Whether the Node.js that is installed is one that Vite runs on.
has_node() {
    command -v npm >/dev/null 2>&1 || return 1
    node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null
}

# What a lock file names is installed once, and again when the file changes.
install() {
    if [ ! -e "$1/node_modules/.package-lock.json" ] || [ "$1/package-lock.json" -nt "$1/node_modules/.package-lock.json" ]; then
        (cd "$1" && npm ci --silent)
        touch "$1/node_modules/.package-lock.json"
    fi
}

is_fresh() {
    [ -e dist/index.html ] || return 1
    newer=$(find src public index.html paths.json vite.config.ts package-lock.json -newer dist/index.html | head -n 1)
    [ -z "$newer" ]
}

if ! has_node; then
    say "the dashboard is left out, the API is served alone: it is built by Node.js 20.19 or newer with npm, which is not installed"
    if [ "${1:-}" = check ]; then exit 1; fi
    exit 0
fi

# One at a time: tests may ask for it together.
exec 9>.build.lock
if command -v flock >/dev/null 2>&1; then flock 9; fi
if [ "${1:-}" = check ] || ! is_fresh; then install .; fi
is_fresh || npm run --silent build -- --logLevel warn
if [ "${1:-}" = check ]; then
    npm run --silent check
    npm run --silent test
    npm run --silent budget
    install codegen
    npm --prefix codegen run --silent check
fi
