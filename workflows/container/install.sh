#!/bin/sh
# Installs objclass for all users of a container image: what the Dockerfile and the Apptainer definition share.
# Usage: sh install.sh FOLDER     The folder holds pyproject.toml. EXTRAS names other extras of it than all that users need; it may be empty.
set -eu

extras=${EXTRAS-anndata,bio,dask,exr,remote,report,roi,xlsx,zstd}

python3 -m venv /opt/objclass
/opt/objclass/bin/pip install --no-cache-dir --disable-pip-version-check "$1${extras:+[$extras]}"
ln -s /opt/objclass/bin/objclass /usr/local/bin/objclass

# Machine code for all usual processors, next to the package: every user can read it, and nobody but root can write it.
objclass compile --portable

# Nextflow measures its tasks with ps.
if ! command -v ps >/dev/null; then
    apt-get update
    apt-get install -y --no-install-recommends procps
    rm -rf /var/lib/apt/lists/*
fi
