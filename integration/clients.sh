#!/usr/bin/env bash
# Independent clients of registries, to check our work with: skopeo, crane and oras.
#
#   eval "$(integration/clients.sh)"
#
# skopeo is installed with apt-get; crane and oras are unpacked from Debian's forky below
# ${S3LO_TEST_DIR:-/tmp/s3lo-integration}/clients, leaving the machine's package state alone.
# stdout: `export S3LO_TEST_CLIENT_<NAME>=path` lines and nothing else; progress goes to stderr.
# Needs root on Debian. Running it again is cheap.
set -euo pipefail

ROOT=$(realpath -m "${S3LO_TEST_DIR:-/tmp/s3lo-integration}")/clients
LIMIT=${S3LO_TEST_TIMEOUT:-600} # seconds, for each download or installation
SUITE=forky

log() { echo "clients: $*" >&2; }
die() { log "$*"; exit 1; }

# shellcheck source=integration/debian.sh
. "$(dirname "$(realpath "$0")")/debian.sh"

[ "${1:-start}" = start ] || exit 0 # Nothing runs that could be stopped.
mkdir -p "$ROOT"
exec 9>"$ROOT.lock"
flock -w "$LIMIT" 9 || die "another one holds $ROOT.lock"

if ! command -v skopeo >/dev/null; then
  log 'installing skopeo'
  apt install skopeo || { apt update && apt install skopeo; }
fi
if [ ! -d "$ROOT/pkg/$SUITE" ]; then
  MIRROR=$(mirror)
  # apt names it only once it has package lists
  [ -n "$MIRROR" ] || { apt update && MIRROR=$(mirror); }
  [ -n "$MIRROR" ] || die 'no Debian mirror in the apt configuration'
  log "fetching crane and oras of $SUITE"
  fetch "$SUITE" crane oras || die 'the packages could not be fetched'
fi
for name in crane oras; do
  "$ROOT/pkg/$SUITE/usr/bin/$name" version >/dev/null || die "$name does not run"
  echo "export S3LO_TEST_CLIENT_${name^^}=$ROOT/pkg/$SUITE/usr/bin/$name"
done
echo "export S3LO_TEST_CLIENT_SKOPEO=$(command -v skopeo)"
