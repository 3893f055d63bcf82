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

ROOT=$(realpath -m "${S3LO_TEST_DIR:-/tmp/s3lo-integration}")/gcs
PORT=${S3LO_GCS_PORT:-11002}
MAIN=$(realpath "$(dirname "$0")/../packages/backend-gcs/test/gcs-double-main.ts")
URL=http://127.0.0.1:$PORT

log() { echo "gcs: $*" >&2; }

# It refuses a request without a signature as the XML API does.
alive() { curl -s -m 3 "$URL/" | grep -q '<Code>AccessDenied</Code>'; }

ours() { grep -qsF "$MAIN" "/proc/$1/cmdline"; }

start() {
  if ! alive; then
    rm -rf --one-file-system "$ROOT/content"
    setsid nohup node "$MAIN" "$PORT" "$ROOT" >"$ROOT/log" 2>&1 </dev/null 9>&- &
    echo $! >"$ROOT/pid"
    for _ in $(seq 200); do
      alive && break
      sleep 0.1
    done
    if ! alive; then
      log "it does not answer; the end of $ROOT/log:"
      tail -n 25 "$ROOT/log" >&2
      exit 1
    fi
  fi
  log "listening on 127.0.0.1:$PORT"
  echo "export S3LO_TEST_GCS_ENDPOINT=$URL"
  echo "export S3LO_TEST_GCS_KEY_FILE='$ROOT/key.json'"
}

stop() {
  local pid
  pid=$(cat "$ROOT/pid" 2>/dev/null) || true
  if [ -n "$pid" ] && ours "$pid"; then
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
      ours "$pid" || break
      sleep 0.1
    done
  fi
  rm -f "$ROOT/pid"
  if [ "${1:-}" = --purge ]; then rm -rf --one-file-system "$ROOT"; fi
}

case ${1:-start} in
  start | stop) ;;
  *)
    sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
mkdir -p "$ROOT"
exec 9>"$ROOT.lock"
flock -w 300 9 || {
  log "another one holds $ROOT.lock"
  exit 1
}
"${@:-start}"
