#!/bin/sh
# Makes the files that docker-compose.prod.yml takes its secrets from, certificates among them. What
# exists is kept, so it may run again after an update that needs another one.
#
#   deploy/setup/secrets.sh [smtp://user:password@host:port]
set -eu
cd "$(dirname "$0")/.."
umask 022
mkdir -p secrets
# The containers' users read single files; nobody else gets into the folder.
chmod 700 secrets
./setup/certificates.sh
cd secrets

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# make NAME VALUE: writes a secret that does not exist yet.
make() {
    [ -e "$1" ] || printf '%s\n' "$2" >"$1"
}

for name in postgres_password service_secret link_secret owner_password; do
    make "$name" "$(random)"
done
# The database is asked over TLS, and its certificate and name are checked.
database="postgres:5432/clarion?sslmode=verify-full&sslrootcert=/run/secrets/inside_ca"
make admin_database_url "postgres://clarion:$(cat postgres_password)@$database"
for service in identity campaigns leads notifications analytics; do
    make "${service}_database_password" "$(random)"
    make "${service}_database_url" \
        "postgres://clarion_$service:$(cat "${service}_database_password")@$database"
done

if [ ! -e redis_url ]; then
    password=$(random)
    make redis_url "rediss://:$password@redis:6379"
    printf '%s\n' "requirepass $password" "dir /data" "appendonly yes" "maxmemory 384mb" \
        "maxmemory-policy volatile-lru" "port 0" "tls-port 6379" "tls-auth-clients no" \
        "tls-cert-file /run/secrets/redis_certificate" \
        "tls-key-file /run/secrets/redis_key" >redis_config
fi

if [ $# -gt 0 ]; then
    printf '%s\n' "$1" >smtp_url
elif [ ! -e smtp_url ]; then
    echo "now write the URL of your mail server into deploy/secrets/smtp_url, for example"
    echo "smtp://user:password@mail.example.com:587"
fi
echo "the first owner's password is in deploy/secrets/owner_password"
