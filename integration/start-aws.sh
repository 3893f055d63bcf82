#!/usr/bin/env bash
# What answers as Amazon S3 does, for the integration tests, on loopback only: versitygw, built from its sources with
# Go. It checks signatures and checksums of bodies and of parts as AWS does, over TLS, with the bucket in the host's
# name; tests look up AWS's names at 127.0.0.1. Building takes minutes: only where S3LO_TEST_NIGHTLY is set.
# Mind its defect: an object that is copied onto itself keeps its date.
#
#   eval "$(S3LO_TEST_NIGHTLY=1 integration/start-aws.sh start)"
#   integration/start-aws.sh stop [--purge]        (--purge also deletes the software and the objects)
#
# stdout: `export …` lines and nothing else; progress goes to stderr. Starting is idempotent.
# Needs Go, curl, openssl, and a file system that keeps extended attributes. S3LO_AWS_PORT is its port.
set -euo pipefail

# shellcheck disable=SC2034 # for lib.sh
NAME=aws
ROOT=$(realpath -m "${S3LO_TEST_DIR:-/tmp/s3lo-integration}")/aws
PORT=${S3LO_AWS_PORT:-18443}
GATEWAY=github.com/versity/versitygw/cmd/versitygw@v1.8.0
DOMAIN=s3.us-east-1.amazonaws.com
KEY=S3LOINTEGRATIONAWS00 SECRET=a-secret-key-that-opens-nothing-but-tests
LIMIT=900 # seconds, for the build

# shellcheck source=integration/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"

# Any answer will do: without a signature it is a refusal.
alive() { curl -s -m 3 -o /dev/null --cacert "$ROOT/cert.pem" --resolve "$DOMAIN:$PORT:127.0.0.1" "https://$DOMAIN:$PORT/"; }

install_software() {
  [ -x "$ROOT/versitygw" ] && return
  log "building $GATEWAY"
  GOBIN=$ROOT CGO_ENABLED=0 timeout "$LIMIT" go install -trimpath "$GATEWAY" >&2 || die 'it could not be built'
}

start() {
  [ -n "${S3LO_TEST_NIGHTLY:-}" ] || return 0
  install_software
  [ -s "$ROOT/cert.pem" ] || openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=s3lo-test \
    -addext "subjectAltName=DNS:$DOMAIN,DNS:*.$DOMAIN" -keyout "$ROOT/key.pem" -out "$ROOT/cert.pem" 2>/dev/null
  if ! alive; then
    mkdir -p "$ROOT/objects"
    ROOT_ACCESS_KEY=$KEY ROOT_SECRET_KEY=$SECRET launch versitygw "$ROOT/versitygw" --port "127.0.0.1:$PORT" \
      --cert "$ROOT/cert.pem" --key "$ROOT/key.pem" --virtual-domain "$DOMAIN" --region us-east-1 posix "$ROOT/objects"
    await versitygw alive
  fi
  log "listening on 127.0.0.1:$PORT"
  echo "export S3LO_TEST_AWS_ENDPOINT=https://$DOMAIN:$PORT S3LO_TEST_AWS_KEY=$KEY S3LO_TEST_AWS_SECRET=$SECRET"
  echo "export S3LO_TEST_AWS_CA='$ROOT/cert.pem'"
}

stop() {
  halt versitygw versitygw
  purge "$@"
}

main "$LIMIT" "$@"
