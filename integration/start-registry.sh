#!/usr/bin/env bash
# Container registries (docker-registry, from Debian) for the integration tests, on loopback only:
# one open, one with passwords, one with tokens and their service, one with TLS and passwords.
#
#   eval "$(integration/start-registry.sh start)"
#   integration/start-registry.sh stop [--purge]        (--purge also deletes the data)
#
# stdout: `export …` lines and nothing else; progress goes to stderr. Starting is idempotent.
# S3LO_TEST_DIR is where all of it lies; S3LO_REGISTRY_PORT is the first of five ports.
# Needs node, curl and openssl, and root or an installed docker-registry and htpasswd.
set -euo pipefail

HERE=$(dirname "$(realpath "$0")")
# shellcheck disable=SC2034 # for lib.sh
NAME=registry
ROOT=$(realpath -m "${S3LO_TEST_DIR:-/tmp/s3lo-integration}")/registry
PORT=${S3LO_REGISTRY_PORT:-11010}
TOKEN_PORT=$((PORT + 4))
USER_NAME=alice
PASSWORD=s3cret-with:colon
MODES="open htpasswd token tls"

# shellcheck source=integration/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"

port_of() {
  case $1 in open) echo "$PORT" ;; htpasswd) echo $((PORT + 1)) ;; token) echo $((PORT + 2)) ;; tls) echo $((PORT + 3)) ;; esac
}

# What a registry answers at its root, with or without credentials.
alive() {
  local scheme=http
  [ "$1" = tls ] && scheme=https
  curl -sk -m 3 -o /dev/null -D - "$scheme://127.0.0.1:$(port_of "$1")/v2/" |
    grep -qi '^docker-distribution-api-version: registry/2.0'
}

tokens_alive() { curl -s -m 3 -o /dev/null "http://127.0.0.1:$TOKEN_PORT/"; }

install() {
  local missing=()
  command -v docker-registry >/dev/null || missing+=(docker-registry)
  command -v htpasswd >/dev/null || missing+=(apache2-utils)
  [ ${#missing[@]} -eq 0 ] && return
  log "installing ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >&2
}

prepare() {
  mkdir -p "$ROOT/data"
  [ -s "$ROOT/cert.pem" ] || openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=s3lo-test \
    -addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout "$ROOT/key.pem" -out "$ROOT/cert.pem" 2>/dev/null
  # Only bcrypt will do.
  [ -s "$ROOT/htpasswd" ] || htpasswd -Bbn "$USER_NAME" "$PASSWORD" >"$ROOT/htpasswd"
}

configure() {
  local mode=$1 auth='' tls=''
  case $mode in
    htpasswd | tls) auth="auth: {htpasswd: {realm: s3lo-test, path: $ROOT/htpasswd}}" ;;
    token)
      auth="auth: {token: {realm: 'http://127.0.0.1:$TOKEN_PORT/token', service: s3lo-registry,
  issuer: s3lo-issuer, rootcertbundle: $ROOT/cert.pem}}"
      ;;
  esac
  [ "$mode" = tls ] && tls="tls: {certificate: $ROOT/cert.pem, key: $ROOT/key.pem}"
  cat <<YAML
version: 0.1
log: {level: info}
storage:
  filesystem: {rootdirectory: $ROOT/data/$mode}
  delete: {enabled: true}
  cache: {blobdescriptor: inmemory}
  maintenance: {uploadpurging: {enabled: false}}
http:
  addr: 127.0.0.1:$(port_of "$mode")
  $tls
$auth
YAML
}

start() {
  local mode
  install
  prepare
  if ! tokens_alive; then
    TOKEN_USER=$USER_NAME TOKEN_PASSWORD=$PASSWORD launch tokens \
      node "$HERE/token-service.mjs" "$TOKEN_PORT" "$ROOT/key.pem" "$ROOT/cert.pem"
    await tokens tokens_alive
  fi
  for mode in $MODES; do
    if ! alive "$mode"; then
      configure "$mode" >"$ROOT/$mode.yml"
      OTEL_TRACES_EXPORTER=none launch "$mode" docker-registry serve "$ROOT/$mode.yml"
      await "$mode" alive "$mode"
    fi
    log "$mode: listening on 127.0.0.1:$(port_of "$mode")"
    echo "export S3LO_TEST_REGISTRY_${mode^^}=127.0.0.1:$(port_of "$mode")"
  done
  echo "export S3LO_TEST_REGISTRY_USER='$USER_NAME' S3LO_TEST_REGISTRY_PASSWORD='$PASSWORD'"
  echo "export S3LO_TEST_REGISTRY_CA='$ROOT/cert.pem'"
}

stop() {
  local mode
  for mode in $MODES; do halt "$mode" "$ROOT/$mode.yml"; done
  halt tokens token-service.mjs
  purge "$@"
}

main 300 "$@"
