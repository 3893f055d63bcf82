#!/usr/bin/env bash
# An Azure Blob service (azurite, from npm) for the integration tests, on loopback only.
#
#   eval "$(integration/start-azurite.sh start)"
#   integration/start-azurite.sh stop [--purge]        (--purge also deletes the software and the data)
#
# stdout: `export …` lines and nothing else; progress goes to stderr. Starting is idempotent.
# S3LO_TEST_DIR is where all of it lies, S3LO_AZURITE_PORT where it listens. Needs node, npm and curl.
set -euo pipefail

# shellcheck disable=SC2034 # for lib.sh
NAME=azurite
ROOT=$(realpath -m "${S3LO_TEST_DIR:-/tmp/s3lo-integration}")/azurite
PORT=${S3LO_AZURITE_PORT:-11001}
# 3.37.0 asks for a dependency that is not always there.
VERSION=3.35.0
ACCOUNT=devstoreaccount1
# The key that every emulator has; Microsoft publishes it.
KEY=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==
URL=http://127.0.0.1:$PORT/$ACCOUNT
MAIN=$ROOT/npm/node_modules/azurite/dist/src/blob/main.js

# shellcheck source=integration/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"

# It answers without credentials too, with a refusal.
alive() { curl -s -m 3 -o /dev/null -D - "$URL?comp=list" | grep -qi '^server: azurite'; }

install() {
  [ -f "$MAIN" ] && return
  log "installing azurite $VERSION"
  mkdir -p "$ROOT/npm"
  echo '{"private":true}' >"$ROOT/npm/package.json"
  (cd "$ROOT/npm" && npm install --no-audit --no-fund --no-save --omit=dev --loglevel=error "azurite@$VERSION" >&2)
}

start() {
  if ! alive; then
    install
    mkdir -p "$ROOT/data"
    launch azurite node "$MAIN" --blobHost 127.0.0.1 --blobPort "$PORT" --location "$ROOT/data" \
      --silent --disableTelemetry --skipApiVersionCheck
    await azurite alive
  fi
  log "listening on 127.0.0.1:$PORT"
  echo "export AZURE_STORAGE_ACCOUNT=$ACCOUNT AZURE_STORAGE_KEY='$KEY'"
  echo "export S3LO_TEST_AZURE_ENDPOINT=$URL"
}

stop() {
  halt azurite "$MAIN"
  purge "$@"
}

main 300 "$@"
