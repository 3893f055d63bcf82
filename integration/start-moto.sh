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

ROOT=$(realpath -m "${S3LO_TEST_DIR:-/tmp/s3lo-integration}")/moto
PORT=${S3LO_MOTO_PORT:-11555}
VERSION=5.2.1
LIMIT=300 # seconds, for the installation

log() { echo "moto: $*" >&2; }

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
    setsid nohup "$ROOT/venv/bin/moto_server" -H 127.0.0.1 -p "$PORT" >"$ROOT/log" 2>&1 </dev/null 9>&- &
    echo $! >"$ROOT/pid"
    for _ in $(seq 300); do
      alive && break
      sleep 0.1
    done
    alive || {
      log "does not answer; the end of $ROOT/log:"
      tail -n 25 "$ROOT/log" >&2
      exit 1
    }
  fi
  log "listening on 127.0.0.1:$PORT"
  echo "export S3LO_TEST_KMS=http://127.0.0.1:$PORT"
}

stop() {
  local pid
  pid=$(cat "$ROOT/pid" 2>/dev/null) || true
  if [ -n "$pid" ] && grep -qs moto_server "/proc/$pid/cmdline"; then
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
      grep -qs moto_server "/proc/$pid/cmdline" || break
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
flock -w "$LIMIT" 9 || {
  log "another one holds $ROOT.lock"
  exit 1
}
"${@:-start}"
