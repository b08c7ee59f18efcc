#!/bin/sh
# Sends what the API's document allows, and what it does not, to a platform of its own: nothing may
# be answered by a server error, or by a status that the document does not name.
#
#   fuzz.sh CLARION [SECONDS]      the program to start, and how long to go on (300)
#
# Left out is what ends the sign-in or the key that it works with, by asking for that or by its id,
# and the live stream, which never ends.
set -eu
clarion=${1:?which program}
seconds=${2:-300}
tool=schemathesis==4.32.5
tools=${CARGO_TARGET_DIR:-target}/fuzz
. "$(dirname "$0")/platform.sh"
left_out='(/logout|/api/v1/sessions/\{id\}|/api/v1/api-keys/\{id\}|/live)$'

say() { printf 'fuzz: %s\n' "$*" >&2; }

if [ "$(cat "$tools/installed" 2>/dev/null)" != "$tool" ]; then
    say "installing $tool"
    python3 -m venv --clear "$tools"
    "$tools/bin/python" -m pip install --quiet "$tool"
    echo "$tool" >"$tools/installed"
fi

password="a password for the fuzzer"
start_platform "$clarion" CLARION_OWNER_EMAIL=owner@example.com CLARION_OWNER_PASSWORD="$password"

# A token and a key, got before sign-ins are tried until no more are allowed. The token is soon too
# old, or ended by what is sent; the key stays.
set -- $("$tools/bin/python" - "$url" "$password" <<'PYTHON'
import json, sys, urllib.request
url, password = sys.argv[1:]
def ask(path, body=None, **headers):
    body = body and json.dumps(body).encode()
    request = urllib.request.Request(url + path, body, {"content-type": "application/json", **headers})
    return json.load(urllib.request.urlopen(request))
token = ask("/api/v1/login", {"email": "owner@example.com", "password": password})["access_token"]
scopes = ask("/api/v1/openapi.json")["components"]["schemas"]["Scope"]["enum"]
key = ask("/api/v1/api-keys", {"name": "fuzz", "scopes": scopes}, authorization="Bearer " + token)["key"]
print(token, key)
PYTHON
)
token=$1 key=$2

# Few operations refuse a key. When many refuse everything, nothing was tried.
refusals=20
report="$folder/report"
failed=0
credential="Authorization: Bearer $token"
until [ "$seconds" -le 0 ]; do
    slice=$((seconds < 100 ? seconds : 100))
    seconds=$((seconds - slice))
    say "$slice seconds"
    (cd "$folder" && "$OLDPWD/$tools/bin/st" run "$url/api/v1/openapi.json" --header "$credential" \
        --checks not_a_server_error,status_code_conformance \
        --generation-with-security-parameters false \
        --exclude-path-regex "$left_out" --continue-on-failure --no-color \
        --phases coverage,fuzzing,stateful --max-time "$slice") >"$report" || failed=1
    cat "$report"
    refused=$(sed -n 's/^Authentication failed: \([0-9]*\) operations.*/\1/p' "$report")
    if [ "${refused:-0}" -gt "$refusals" ]; then
        say "$refused operations refused the credential"
        failed=1
    fi
    credential="X-Api-Key: $key"
done
if grep -E ' ERROR |panicked' "$folder/log" >&2; then failed=1; fi
exit "$failed"
