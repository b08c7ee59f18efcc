# For scripts that need a platform of their own. To be sourced:
#
#   start_platform CLARION [NAME=VALUE...]   starts it with these settings, ends it with the script,
#                                            and sets `folder`, its own, and `url`
start_platform() {
    clarion=$1
    shift
    folder=$(mktemp -d)
    # The private Postgres may be another user's, who must be able to enter.
    chmod 755 "$folder"
    env -u DATABASE_URL -u REDIS_URL -u SMTP_URL CLARION_DATA_DIR="$folder/data" \
        CLARION_HTTP_ADDR=127.0.0.1:0 CLARION_LOG=warn "$@" \
        "$clarion" up >"$folder/ready" 2>"$folder/log" &
    platform=$!
    trap end_platform EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    while ! grep -q '^ready ' "$folder/ready"; do
        kill -0 "$platform" 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
        sleep 0.2
    done
    url=$(sed -n 's/^ready //p' "$folder/ready")
}

end_platform() {
    kill "$platform" 2>/dev/null || true
    wait "$platform" 2>/dev/null || true
    rm -rf "$folder"
}
