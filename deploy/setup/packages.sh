#!/bin/sh
# Installs the system packages that Clarion is built and run with, if any is missing.
#
#   packages.sh           what `make up` needs; Node.js too, where the system offers one that is new
#                         enough to build the dashboard
#   packages.sh test      also smtp-sink, which tests send to, dkimpy and spamassassin, which read
#                         our mails, Python's venv, for what verifies our webhooks and our API's
#                         document, nginx, which stands before the gateway, Chromium, and npm: with
#                         both, Segment's libraries are installed that send to us
#   packages.sh bench     nginx, too, which the gateway is measured against, and wrk, which does it
#
# Nothing that it installs is started, now or at the next boot: Clarion runs servers of its own.
set -eu

say() { printf 'setup: %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

# A server of version 15 or newer, where Debian keeps them or on the search path.
has_postgres() {
    for folder in /usr/lib/postgresql/*/bin; do
        version=${folder#/usr/lib/postgresql/}
        version=${version%/bin}
        case $version in *[!0-9]*) continue ;; esac
        [ "$version" -ge 15 ] && [ -x "$folder/postgres" ] && return 0
    done
    command -v postgres >/dev/null 2>&1 && command -v initdb >/dev/null 2>&1
}

# A program that may live in a folder only root's search path has.
has_program() {
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]
}

# A module of Debian's own Python.
has_module() {
    [ -x /usr/bin/python3 ] && /usr/bin/python3 -c "import $1" 2>/dev/null
}

# Debian keeps what fills a virtual environment in a package of its own.
has_venv() {
    python3 -c 'import ensurepip, venv' 2>/dev/null
}

# Debian may offer no Node.js that is new enough; then the dashboard is left out.
offers_node() {
    command -v apt-cache >/dev/null 2>&1 || return 1
    candidate=$(apt-cache policy nodejs 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]*\).*/\1/p')
    [ "${candidate:-0}" -ge 20 ]
}

missing_packages() {
    has_program cc || echo gcc
    has_program pkg-config || echo pkg-config
    pkg-config --exists libpq 2>/dev/null || echo libpq-dev
    has_postgres || echo postgresql
    has_program redis-server || echo redis-server
    if offers_node; then
        has_program node || echo nodejs
        # Some packages of Node.js bring npm with them.
        has_program npm || ! has_program node || echo npm
    fi
    case $1 in test) has_program chromium || has_program google-chrome || echo chromium ;; esac
    case $1 in test) has_program npm || echo npm ;; esac
    case $1 in test | bench) has_program smtp-sink || echo postfix ;; esac
    case $1 in test) has_module dkim || echo python3-dkim; has_module nacl || echo python3-nacl ;; esac
    case $1 in test) has_venv || echo python3-venv; has_program spamassassin || echo spamassassin ;; esac
    case $1 in test | bench) has_program nginx || echo nginx-light ;; esac
    case $1 in bench) has_program wrk || echo wrk ;; esac
}

# Packages install themselves as services; this keeps them from being started meanwhile.
forbid_starting() {
    [ -e /usr/sbin/policy-rc.d ] && return
    printf '#!/bin/sh\nexit 101\n' >"$1/policy-rc.d"
    $sudo install -m 755 "$1/policy-rc.d" /usr/sbin/policy-rc.d
    forbidden=yes
}

# Debian makes and starts a database cluster with the server; Clarion makes its own elsewhere.
forbid_cluster() {
    cp "$cluster_conf" "$1/createcluster.conf"
    { cat "$cluster_conf" && echo "create_main_cluster = false"; } >"$1/without-cluster.conf"
    $sudo cp "$1/without-cluster.conf" "$cluster_conf"
    restore=$1/createcluster.conf
}

# Runs at every end, so that a failed installation leaves no trace either.
put_back() {
    if [ -n "$forbidden" ]; then $sudo rm -f /usr/sbin/policy-rc.d; fi
    if [ -n "$restore" ]; then $sudo cp "$restore" "$cluster_conf"; fi
    rm -rf "$scratch"
}

install_packages() {
    $sudo env DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true \
        apt-get install -y -qq --no-install-recommends --no-remove \
        -o DPkg::Lock::Timeout=120 "$@" >"$scratch/log" 2>&1 </dev/null && return
    tail -n 20 "$scratch/log" >&2
    fail "these packages could not be installed, please install them: $*"
}

# What was just installed must not start at the next boot either.
stay_off() {
    [ -d /run/systemd/system ] || return 0
    for package in "$@"; do
        case $package in postgresql | redis-server | postfix | nginx-light)
            $sudo systemctl disable --quiet "${package%-light}" 2>/dev/null || true ;;
        esac
    done
}

purpose=${1:-run}
missing=$(missing_packages "$purpose" | tr '\n' ' ')
missing=${missing% }
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null 2>&1 || fail "please install what these Debian packages hold: $missing"
    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        # Without a terminal sudo may not ask for a password.
        if [ -t 0 ]; then sudo="sudo"; else sudo="sudo -n"; fi
        $sudo true 2>/dev/null || fail "please install as root: apt-get install $missing"
    fi

    scratch=$(mktemp -d)
    forbidden=
    restore=
    cluster_conf=/etc/postgresql-common/createcluster.conf
    trap put_back EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    say "installing $missing"
    # An outdated list is only a problem if the installation then fails.
    $sudo apt-get update -qq -o DPkg::Lock::Timeout=120 >/dev/null 2>&1 </dev/null || true
    forbid_starting "$scratch"
    case " $missing " in *" postgresql "*)
        install_packages postgresql-common
        forbid_cluster "$scratch" ;;
    esac
    case " $missing " in *" postfix "*)
        echo "postfix postfix/main_mailer_type select No configuration" | $sudo debconf-set-selections ;;
    esac
    # shellcheck disable=SC2086 # a list of words
    install_packages $missing
    # shellcheck disable=SC2086
    stay_off $missing
    left=$(missing_packages "$purpose" | tr '\n' ' ')
    [ -z "$left" ] || fail "this system's packages are too old, please install newer ones: ${left% }"
fi

if ! command -v cargo >/dev/null 2>&1; then
    fail "cargo is missing: please install Rust (rustup reads rust-toolchain.toml and does the rest)"
fi
