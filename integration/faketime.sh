#!/usr/bin/env bash
# libfaketime, which gives a process another clock than its machine has.
#
#   eval "$(integration/faketime.sh)"
#
# Installed with apt-get; needs root on Debian. stdout: `export S3LO_TEST_FAKETIME=path` of the library to preload.
set -euo pipefail

# for debian.sh
# shellcheck disable=SC2034
LIMIT=${S3LO_TEST_TIMEOUT:-600}

# shellcheck source=integration/debian.sh
. "$(dirname "$(realpath "$0")")/debian.sh"

[ "${1:-start}" = start ] || exit 0 # Nothing runs that could be stopped.
find_library() { find /usr/lib -name libfaketimeMT.so.1 -print -quit; }

if [ -z "$(find_library)" ]; then
  echo 'faketime: installing libfaketime' >&2
  apt install libfaketime || { apt update && apt install libfaketime; }
fi
LIBRARY=$(find_library)
[ -n "$LIBRARY" ] || { echo 'faketime: the package has no library' >&2; exit 1; }
echo "export S3LO_TEST_FAKETIME=$LIBRARY"
