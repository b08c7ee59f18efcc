#!/bin/sh
# Deletes the data folder of `clarion up`, unless it is in use or is not one.
set -eu

folder=${CLARION_DATA_DIR:-.clarion}

fail() {
    printf 'clean-data: %s\n' "$*" >&2
    exit 1
}

[ -e "$folder" ] || exit 0
[ -d "$folder/postgres" ] || fail "$folder is not a data folder of Clarion: it has no postgres/ in it"
lock=$folder/postgres/postmaster.pid
if [ -e "$lock" ] && kill -0 "$(head -n 1 "$lock")" 2>/dev/null; then
    fail "$folder is in use; stop Clarion first"
fi
rm -rf -- "$folder"
