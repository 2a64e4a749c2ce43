#!/bin/bash
# Sets up what the tests in tests/interop/ talk to: programs of other people, from Debian packages and from npm.
# Nothing here is needed to serve. What cannot be had is named, and the tests that take it are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
    chromium              # a browser: WebRTC, and the official clients for browsers
    sip-tester            # sipp
    baresip-core          # a softphone
    baresip-ffmpeg        # its codecs
    kamailio              # a SIP proxy
    kamailio-tls-modules
)

install_packages() {
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # RUNLEVEL: no daemon is started
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

if command -v dpkg-query >/dev/null; then
    missing=()
    for package in "${packages[@]}"; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    if ((${#missing[@]})); then
        if [[ $(id -u) == 0 ]]; then
            echo "Installing ${missing[*]} ..."
            # The lists of packages may be missing or old: fetch them then, and only then.
            install_packages "${missing[@]}" 2>/dev/null ||
                { apt-get update -qq && install_packages "${missing[@]}"; } ||
                echo "They cannot be installed: the tests that take them are skipped."
        else
            echo "Tests are skipped that take ${missing[*]}. On Debian: sudo apt-get install ${missing[*]}"
        fi
    fi
fi

modules=tests/interop/node
if ! command -v npm >/dev/null; then
    echo "Tests are skipped that take node and npm: they are not installed."
elif ! [[ $modules/node_modules/.package-lock.json -nt $modules/package-lock.json ]]; then
    echo "Installing the JavaScript clients ..."
    (cd $modules && npm ci --silent --prefer-offline) 2>/dev/null ||
        echo "npm cannot install them: the tests that take them are skipped."
fi
