#!/usr/bin/env bash
# The real cosign, twice, for the integration tests: 2.5 (trixie) and 3.1 (forky). Nothing runs: they are programs.
#
#   eval "$(integration/start-cosign.sh start)"
#   integration/start-cosign.sh stop [--purge]        (--purge deletes them)
#
# stdout: `export S3LO_TEST_COSIGN_…` lines and nothing else; progress goes to stderr. Starting is idempotent.
# Needs Debian; the packages are unpacked below S3LO_TEST_DIR from the mirror that the machine's own apt uses.
set -euo pipefail

ROOT=$(realpath -m "${S3LO_TEST_DIR:-/tmp/s3lo-integration}")/cosign
LIMIT=300 # seconds, for each download

log() { echo "cosign: $*" >&2; }

quiet_apt() {
  timeout "$LIMIT" apt-get -qq -y -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Acquire::Languages=none \
    -o Acquire::Check-Valid-Until=false "$@" >/dev/null </dev/null
}

mirror() {
  # the placeholders are apt's, not the shell's
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 'Component: main' |
    awk '$1 ~ /^(bookworm|trixie|forky|sid|(old)?stable|testing|unstable)$/ && !m { m = $2 } END { print m }'
}

# fetch SUITE: unpack cosign of the suite into $ROOT/SUITE, leaving the machine's own packages alone.
fetch() {
  local suite=$1 tmp=$ROOT/$1.tmp key=/usr/share/keyrings/debian-archive-keyring.gpg uri
  [ -x "$ROOT/$suite/usr/bin/cosign" ] && return
  uri=$(mirror)
  [ -n "$uri" ] || { quiet_apt update && uri=$(mirror); }
  [ -n "$uri" ] || { log 'the machine has no Debian mirror'; exit 1; }
  log "installing cosign of $suite"
  rm -rf "$tmp" "${ROOT:?}/$suite"
  mkdir -p "$tmp"/apt/{lists/partial,archives/partial,debs} "$tmp/root"
  : >"$tmp/apt/status"
  [ -f "$key" ] && key="[signed-by=$key]" || key=
  echo "deb $key $uri $suite main" >"$tmp/apt/sources.list"
  {
    apt-config dump | grep '^Acquire::' || true
    echo 'Dir::Etc::main "/dev/null"; Dir::Etc::preferences "/dev/null"; APT::Sandbox::User "root";'
    printf 'Dir::%s "'"$tmp/apt"'%s";\n' Etc::parts /none Etc::sourceparts /none Etc::preferencesparts /none \
      Etc::sourcelist /sources.list State '' State::lists /lists State::status /status Cache '' Log /none
  } >"$tmp/apt/conf"
  APT_CONFIG=$tmp/apt/conf quiet_apt update
  (cd "$tmp/apt/debs" && APT_CONFIG=$tmp/apt/conf quiet_apt download cosign)
  for deb in "$tmp"/apt/debs/*.deb; do dpkg-deb -x "$deb" "$tmp/root"; done
  mv "$tmp/root" "$ROOT/$suite"
  rm -rf "$tmp"
}

start() {
  fetch trixie
  fetch forky
  echo "export S3LO_TEST_COSIGN_2='$ROOT/trixie/usr/bin/cosign' S3LO_TEST_COSIGN_3='$ROOT/forky/usr/bin/cosign'"
}

stop() { if [ "${1:-}" = --purge ]; then rm -rf --one-file-system "$ROOT"; fi; }

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
