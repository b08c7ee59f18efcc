#!/bin/sh
# Lints scripts, image recipes and workflows with the linters that this machine has. The rules that
# must hold everywhere are tests of their own: crates/testkit/tests/house.
set -eu
cd "$(dirname "$0")/../.."

scripts=$(find deploy .ci -type f -exec grep -lE '^#!/(bin/|usr/bin/env )(ba)?sh' {} + | sort)
for script in $scripts; do
    case $(head -n 1 "$script") in *bash) bash -n "$script" ;; *) sh -n "$script" ;; esac
done

# try TOOL FILE...: lints the files, or says that it cannot.
try() {
    tool=$1
    shift
    if command -v "$tool" >/dev/null 2>&1; then
        "$tool" "$@"
    else
        echo "lint: $tool is not installed, skipped"
    fi
}

# shellcheck disable=SC2086 # lists of words
try shellcheck $scripts
try hadolint Dockerfile.*
try actionlint .github/workflows/*.yml
