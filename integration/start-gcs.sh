#!/usr/bin/env bash
# Google Cloud Storage for the integration tests: the double of packages/backend-gcs, on loopback only.
#
#   eval "$(integration/start-gcs.sh start)"
#   integration/start-gcs.sh stop [--purge]            (--purge also deletes the data)
#
# stdout: `export …` lines and nothing else; progress goes to stderr. Starting is idempotent.
# S3LO_TEST_DIR is where all of it lies, S3LO_GCS_PORT where it listens. Needs node and curl.
#
# No emulator from PyPI holds: gcp-storage-emulator 2026.7 does not know ifGenerationMatch, and
# fake-gcs-server (which passes the rest of the kit) serves no signed URL at its own address and
# leaves `updated` as it is. The head of gcs-double.ts says what the double proves.
set -euo pipefail

# shellcheck disable=SC2034 # for lib.sh
NAME=gcs
ROOT=$(realpath -m "${S3LO_TEST_DIR:-/tmp/s3lo-integration}")/gcs
PORT=${S3LO_GCS_PORT:-11002}
MAIN=$(realpath "$(dirname "$0")/../packages/backend-gcs/test/gcs-double-main.ts")
URL=http://127.0.0.1:$PORT

# shellcheck source=integration/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"

# It refuses a request without a signature as the XML API does.
alive() { curl -s -m 3 "$URL/" | grep -q '<Code>AccessDenied</Code>'; }

start() {
  if ! alive; then
    rm -rf --one-file-system "$ROOT/content"
    launch gcs node "$MAIN" "$PORT" "$ROOT"
    await gcs alive
  fi
  log "listening on 127.0.0.1:$PORT"
  echo "export S3LO_TEST_GCS_ENDPOINT=$URL"
  echo "export S3LO_TEST_GCS_KEY_FILE='$ROOT/key.json'"
}

stop() {
  halt gcs "$MAIN"
  purge "$@"
}

main 300 "$@"
