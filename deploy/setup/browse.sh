#!/bin/sh
# Runs a script of a browser against a platform of its own.
#
#   browse.sh CLARION SCRIPT [ARGUMENT...]     SCRIPT is in crates/dashboard/app/tests/browser, without .mjs
set -eu
clarion=${1:?which program}
script=${2:?which script}
shift 2
here="$(cd "$(dirname "$0")" && pwd)"
app="$here/../../crates/dashboard/app"
. "$here/platform.sh"

# What only this script needs is installed when it runs.
tools="$app/$script"
if [ -e "$tools/package-lock.json" ] && [ ! -e "$tools/node_modules/.package-lock.json" ]; then
    (cd "$tools" && npm ci --silent)
fi

start_platform "$clarion"
node "$app/tests/browser/$script.mjs" "$url" "$@"
