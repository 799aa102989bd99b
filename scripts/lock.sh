#!/usr/bin/env bash
# Pin everything: resolve pyproject.toml in empty environments and write requirements/dev.txt, run.txt and bench.txt.
# Versions only: no index, no host and no hash of a mirror ends up in the files.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

freeze() { # freeze EXTRAS OUTPUT [CONSTRAINTS]
    "$python" -m venv "$scratch/$2"
    "$scratch/$2/bin/pip" install --quiet --disable-pip-version-check ${3:+-c "$3"} ".$1"
    "$scratch/$2/bin/pip" freeze --exclude hearsay | grep -v '^-e\|^#\|@ file' |
        sed "s/^openvino.*/&; $marker/" >"requirements/$2.txt"
}

# OpenVINO has no wheels for some machines, on which everything works without it; a frozen list would insist.
marker="$(sed -n 's/^ *"openvino[^;]*; \(.*\)",$/\1/p' pyproject.toml)"

mkdir -p requirements
freeze "[dev]" dev
freeze "" run requirements/dev.txt
freeze "[bench]" bench requirements/dev.txt
wc -l requirements/*.txt
