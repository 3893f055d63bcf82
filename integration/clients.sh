#!/usr/bin/env bash
# Independent clients of registries, to check our work with: skopeo, crane and oras; with S3LO_TEST_NIGHTLY set also
# regctl, helm and buildx.
#
#   eval "$(integration/clients.sh)"
#
# skopeo is installed with apt-get; crane and oras are unpacked from Debian's forky below
# ${S3LO_TEST_DIR:-/tmp/s3lo-integration}/clients, leaving the machine's package state alone. So is buildx; regctl and
# helm are built from their sources with Go.
# stdout: `export S3LO_TEST_CLIENT_<NAME>=path` lines and nothing else; progress goes to stderr.
# Needs root on Debian. Running it again is cheap.
set -euo pipefail

ROOT=$(realpath -m "${S3LO_TEST_DIR:-/tmp/s3lo-integration}")/clients
LIMIT=${S3LO_TEST_TIMEOUT:-600} # seconds, for each download or installation
SUITE=forky
HELM=helm.sh/helm/v3/cmd/helm@v3.22.0
REGCTL=github.com/regclient/regclient/cmd/regctl@v0.11.7

log() { echo "clients: $*" >&2; }
die() { log "$*"; exit 1; }

# shellcheck source=integration/debian.sh
. "$(dirname "$(realpath "$0")")/debian.sh"

# built NAME PACKAGE@VERSION: a program of Go in $ROOT/bin.
built() {
  [ -x "$ROOT/bin/$1" ] && return
  log "building $2"
  GOBIN=$ROOT/bin CGO_ENABLED=0 timeout "$LIMIT" go install -trimpath "$2" >&2 || die "$1 could not be built"
}

[ "${1:-start}" = start ] || exit 0 # Nothing runs that could be stopped.
mkdir -p "$ROOT"
exec 9>"$ROOT.lock"
flock -w "$LIMIT" 9 || die "another one holds $ROOT.lock"

if ! command -v skopeo >/dev/null; then
  log 'installing skopeo'
  apt install skopeo || { apt update && apt install skopeo; }
fi
packages=(crane oras)
[ -z "${S3LO_TEST_NIGHTLY:-}" ] || packages+=(docker-buildx)
BUILDX=$ROOT/pkg/$SUITE/usr/libexec/docker/cli-plugins/docker-buildx
if [ ! -d "$ROOT/pkg/$SUITE" ] || { [ -n "${S3LO_TEST_NIGHTLY:-}" ] && [ ! -x "$BUILDX" ]; }; then
  MIRROR=$(mirror)
  # apt names it only once it has package lists
  [ -n "$MIRROR" ] || { apt update && MIRROR=$(mirror); }
  [ -n "$MIRROR" ] || die 'no Debian mirror in the apt configuration'
  log "fetching ${packages[*]} of $SUITE"
  rm -rf "$ROOT/pkg/$SUITE"
  fetch "$SUITE" "${packages[@]}" || die 'the packages could not be fetched'
fi
for name in crane oras; do
  "$ROOT/pkg/$SUITE/usr/bin/$name" version >/dev/null || die "$name does not run"
  echo "export S3LO_TEST_CLIENT_${name^^}=$ROOT/pkg/$SUITE/usr/bin/$name"
done
echo "export S3LO_TEST_CLIENT_SKOPEO=$(command -v skopeo)"
if [ -n "${S3LO_TEST_NIGHTLY:-}" ]; then
  built helm "$HELM"
  built regctl "$REGCTL"
  "$BUILDX" version >/dev/null || die 'buildx does not run'
  echo "export S3LO_TEST_CLIENT_HELM=$ROOT/bin/helm S3LO_TEST_CLIENT_REGCTL=$ROOT/bin/regctl"
  echo "export S3LO_TEST_CLIENT_BUILDX=$BUILDX"
fi
