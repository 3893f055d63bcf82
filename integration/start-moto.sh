#!/usr/bin/env bash
# A key service that speaks AWS's KMS for the integration tests, on loopback only: moto, from PyPI.
# Mind its defects: it hashes again what MessageType DIGEST says was hashed, and its PSS is not AWS's.
#
#   eval "$(integration/start-moto.sh start)"
#   integration/start-moto.sh stop [--purge]        (--purge also deletes the software)
#
# stdout: `export …` lines and nothing else; progress goes to stderr. Starting is idempotent.
# Needs python3 with venv and pip, and curl. S3LO_MOTO_PORT is its port.
set -euo pipefail

# shellcheck disable=SC2034 # for lib.sh
NAME=moto
ROOT=$(realpath -m "${S3LO_TEST_DIR:-/tmp/s3lo-integration}")/moto
PORT=${S3LO_MOTO_PORT:-11555}
VERSION=5.2.1
LIMIT=300 # seconds, for the installation

# shellcheck source=integration/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"

alive() { curl -sf -m 3 -o /dev/null "http://127.0.0.1:$PORT/moto-api/"; }

install_software() {
  [ -e "$ROOT/.ready-$VERSION" ] && return
  log "installing moto $VERSION"
  rm -rf "$ROOT/venv"
  python3 -m venv "$ROOT/venv" >&2
  timeout "$LIMIT" "$ROOT/venv/bin/pip" install --quiet --disable-pip-version-check "moto[server,kms]==$VERSION" >&2
  touch "$ROOT/.ready-$VERSION"
}

start() {
  install_software
  if ! alive; then
    launch moto "$ROOT/venv/bin/moto_server" -H 127.0.0.1 -p "$PORT"
    await moto alive
  fi
  log "listening on 127.0.0.1:$PORT"
  echo "export S3LO_TEST_KMS=http://127.0.0.1:$PORT"
}

stop() {
  halt moto moto_server
  purge "$@"
}

main "$LIMIT" "$@"
