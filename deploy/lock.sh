#!/bin/bash
# Resolves the dependencies of pyproject.toml into the lock files: hashes, and no address of any index.
set -euo pipefail
cd "$(dirname "$0")/.."

"${PYTHON:-python3}" -m venv .venv-lock
.venv-lock/bin/python -m pip --disable-pip-version-check install --quiet 'pip-tools>=7.6,<8'

inputs=$(mktemp -d)
trap 'rm -rf "$inputs"' EXIT
.venv-lock/bin/python - "$inputs" <<'PYTHON'
import pathlib
import sys
import tomllib

project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())
folder = pathlib.Path(sys.argv[1])
folder.joinpath("build.in").write_text("\n".join(project["build-system"]["requires"]) + "\n")
folder.joinpath("dev.in").write_text("\n".join(project["dependency-groups"]["dev"]) + "\n")
PYTHON

options=(--quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-annotate
    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options)
# The tests' set is the larger one and decides the versions; what runs in production is a part of it.
# The build backend stands in both: the project itself is installed without isolation, so nothing comes unlocked.
.venv-lock/bin/pip-compile "${options[@]}" --extra embedded \
    --output-file requirements-dev.lock pyproject.toml "$inputs/build.in" "$inputs/dev.in"
.venv-lock/bin/pip-compile "${options[@]}" --extra embedded --constraint requirements-dev.lock \
    --output-file requirements.lock pyproject.toml "$inputs/build.in"
# The peers of one bench have nothing to do with either.
.venv-lock/bin/pip-compile "${options[@]}" --output-file bench/relay_peers.lock bench/relay_peers.in
