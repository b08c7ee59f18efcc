#!/bin/sh
# Sends what the API's document allows, and what it does not, to a platform of its own: nothing may
# be answered by a server error, or by a status that the document does not name.
#
#   fuzz.sh CLARION [SECONDS]      the program to start, and how long to go on (300)
#
# Left out is what ends the sign-in that it works with, by asking for that or by its id, and the live
# stream, which never ends.
set -eu
clarion=${1:?which program}
seconds=${2:-300}
tool=schemathesis==4.32.5
tools=${CARGO_TARGET_DIR:-target}/fuzz
. "$(dirname "$0")/platform.sh"
left_out='(/logout|/api/v1/sessions/\{id\}|/live)$'

say() { printf 'fuzz: %s\n' "$*" >&2; }

if [ "$(cat "$tools/installed" 2>/dev/null)" != "$tool" ]; then
    say "installing $tool"
    python3 -m venv --clear "$tools"
    "$tools/bin/python" -m pip install --quiet "$tool"
    echo "$tool" >"$tools/installed"
fi

password="a password for the fuzzer"
start_platform "$clarion" CLARION_OWNER_EMAIL=owner@example.com CLARION_OWNER_PASSWORD="$password"

token() {
    "$tools/bin/python" - "$url" "$password" <<'PYTHON'
import json, sys, urllib.request
url, password = sys.argv[1:]
body = json.dumps({"email": "owner@example.com", "password": password}).encode()
request = urllib.request.Request(url + "/api/v1/login", body, {"content-type": "application/json"})
print(json.load(urllib.request.urlopen(request))["access_token"])
PYTHON
}

# Sign-ins are short; each slice begins with a new one.
failed=0
until [ "$seconds" -le 0 ]; do
    slice=$((seconds < 100 ? seconds : 100))
    seconds=$((seconds - slice))
    say "$slice seconds"
    (cd "$folder" && "$OLDPWD/$tools/bin/st" run "$url/api/v1/openapi.json" \
        --header "Authorization: Bearer $(cd "$OLDPWD" && token)" \
        --checks not_a_server_error,status_code_conformance \
        --generation-with-security-parameters false \
        --exclude-path-regex "$left_out" --continue-on-failure --no-color \
        --phases coverage,fuzzing,stateful --max-time "$slice") || failed=1
done
if grep -E ' ERROR |panicked' "$folder/log" >&2; then failed=1; fi
exit "$failed"
