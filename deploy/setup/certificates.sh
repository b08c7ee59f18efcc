#!/bin/sh
# Makes the authority inside of an installation, and a certificate for every server in it: the
# services, Postgres and Redis. docker-compose.prod.yml takes them from deploy/secrets/. Services
# believe this authority and nobody else.
#
#   deploy/setup/certificates.sh [days]      how long certificates hold, at most: 398
#
# What holds for two more months is kept. So it may run every month, and then nothing runs out.
# Services take new certificates as they come; Postgres and Redis are told as deploy/README.md says.
# The authority's key, `inside_ca.key`, is needed here only: it may be kept elsewhere in between.
set -eu
cd "$(dirname "$0")/.."
days=${1:-398}
umask 022
mkdir -p secrets
# The containers' users read single files; nobody else gets into the folder.
chmod 700 secrets
cd secrets

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/openssl.cnf" <<'CONFIG'
[req]
distinguished_name = name
prompt = no
[name]
CN = ${ENV::NAME}
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:${ENV::NAME}
CONFIG

# new_key FILE: a P-256 key that only its owner reads.
new_key() {
    (umask 077 && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1")
}

# holds FILE: whether it holds for two more months, and the authority of today signed it.
holds() {
    [ -e "$1" ] && openssl x509 -in "$1" -noout -checkend 5184000 >/dev/null &&
        openssl verify -CAfile inside_ca "$1" >/dev/null 2>&1
}

if [ ! -e inside_ca ]; then
    new_key inside_ca.key
    NAME="Clarion inside $(date -u +%Y-%m-%d)" openssl req -x509 -new -key inside_ca.key \
        -config "$work/openssl.cnf" -extensions authority -days 3650 -out inside_ca
fi

for name in identity campaigns leads notifications analytics postgres redis; do
    if holds "${name}_certificate"; then
        continue
    fi
    new_key "$work/key"
    NAME=$name openssl req -new -key "$work/key" -config "$work/openssl.cnf" -out "$work/request"
    NAME=$name openssl x509 -req -in "$work/request" -CA inside_ca -CAkey inside_ca.key \
        -set_serial "0x$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" -days "$days" \
        -extfile "$work/openssl.cnf" -extensions server -out "$work/certificate" 2>/dev/null
    # Written where they are: a container has the file itself, not its name.
    cat "$work/key" >"${name}_key"
    cat "$work/certificate" >"${name}_certificate"
    echo "a new certificate for $name"
done
