#!/usr/bin/env bash
# The real cosign, twice, for the integration tests: 2.5 (trixie) and 3.1 (forky). Nothing runs: they are programs.
#
#   eval "$(integration/start-cosign.sh start)"
#   integration/start-cosign.sh stop [--purge]        (--purge deletes them)
#
# stdout: `export S3LO_TEST_COSIGN_…` lines and nothing else; progress goes to stderr. Starting is idempotent.
# Needs Debian; the packages are unpacked below S3LO_TEST_DIR from the mirror that the machine's own apt uses.
set -euo pipefail

# shellcheck disable=SC2034 # for lib.sh
NAME=cosign
ROOT=$(realpath -m "${S3LO_TEST_DIR:-/tmp/s3lo-integration}")/cosign
LIMIT=300 # seconds, for each download

# shellcheck source=integration/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=integration/debian.sh
. "$(dirname "$(realpath "$0")")/debian.sh"

# bring SUITE: cosign of the suite, in $ROOT/pkg/SUITE.
bring() {
  [ -x "$ROOT/pkg/$1/usr/bin/cosign" ] && return
  MIRROR=$(mirror)
  [ -n "$MIRROR" ] || { apt update && MIRROR=$(mirror); }
  [ -n "$MIRROR" ] || die 'the machine has no Debian mirror'
  log "installing cosign of $1"
  fetch "$1" cosign || die 'the package could not be fetched'
}

start() {
  bring trixie
  bring forky
  echo "export S3LO_TEST_COSIGN_2='$ROOT/pkg/trixie/usr/bin/cosign' S3LO_TEST_COSIGN_3='$ROOT/pkg/forky/usr/bin/cosign'"
}

stop() { purge "$@"; }

main "$LIMIT" "$@"
