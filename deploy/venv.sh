#!/bin/bash
# Creates the virtual environment: deploy/venv.sh PYTHON FOLDER
# On Debian and Ubuntu as root it installs the two packages that this takes; otherwise it names them.
set -euo pipefail
python=$1
venv=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or newer is needed, and $python is not: make PYTHON=python3.11 run" >&2
    exit 1
fi

missing=()
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
# The language model's runtime is linked against OpenMP, which a small image lacks.
"$python" -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null || missing+=(libgomp1)

if ((${#missing[@]})); then
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        echo "Installing ${missing[*]} ..."
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "These system packages are missing: ${missing[*]}. On Debian or Ubuntu: sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi

echo "Creating $venv ..."
"$python" -m venv --clear "$venv"
