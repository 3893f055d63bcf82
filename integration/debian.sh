# Packages of any Debian suite, for the scripts here: sourced, with ROOT (a folder of the script's own)
# and LIMIT (seconds for each download or installation) set.
# shellcheck shell=bash

# `apt-get` with settings that neither ask nor hang on a dead mirror; errors only, on stderr.
apt() {
  DEBIAN_FRONTEND=noninteractive timeout "$LIMIT" apt-get -qq -y -o Acquire::Retries=3 -o Acquire::http::Timeout=30 \
    -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false -o APT::Install-Recommends=false \
    -o DPkg::Lock::Timeout="$LIMIT" -o DPkg::Use-Pty=0 "$@" >/dev/null </dev/null
}

# The Debian mirror that the machine's own apt uses.
mirror() {
  # the placeholders are apt's, not the shell's
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 'Component: main' |
    awk '$1 ~ /^(bookworm|trixie|forky|sid|(old)?stable|testing|unstable)$/ && !m { m = $2 } END { print m }'
}

# fetch SUITE package...: unpack packages (without their dependencies) of any Debian suite into $ROOT/pkg/SUITE.
# Wants MIRROR to be set.
fetch() {
  local suite=$1 dir=$ROOT/pkg/$1 tmp=$ROOT/pkg/$1.tmp deb key=/usr/share/keyrings/debian-archive-keyring.gpg
  shift
  rm -rf "$tmp"
  mkdir -p "$tmp"/apt/{lists/partial,archives/partial,none,debs} "$tmp/root"
  : >"$tmp/apt/status"
  [ -f "$key" ] && key="[signed-by=$key]" || key=
  echo "deb $key $MIRROR $suite main" >"$tmp/apt/sources.list"
  # Of the machine's own configuration only what says how to fetch (proxies): hooks, as images made for containers
  # have them, would delete what another apt-get has just downloaded.
  {
    apt-config dump | grep '^Acquire::' || true
    echo 'Dir::Etc::main "/dev/null"; Dir::Etc::preferences "/dev/null"; APT::Sandbox::User "root";'
    printf 'Dir::%s "'"$tmp/apt"'%s";\n' Etc::parts /none Etc::sourceparts /none Etc::preferencesparts /none \
      Etc::sourcelist /sources.list State '' State::lists /lists State::status /status Cache '' Log /none
  } >"$tmp/apt/conf"
  APT_CONFIG=$tmp/apt/conf apt update || return
  (cd "$tmp/apt/debs" && APT_CONFIG=$tmp/apt/conf apt download "$@") || return
  for deb in "$tmp"/apt/debs/*.deb; do dpkg-deb -x "$deb" "$tmp/root" || return; done
  mv "$tmp/root" "$dir" && rm -rf "$tmp"
}
