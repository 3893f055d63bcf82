#!/usr/bin/env bash
# Holds the workflows in .github against actionlint, which comes from the Go proxy. Without Go it is skipped, except in CI.
set -euo pipefail
cd "$(dirname "$0")/.."
VERSION=v1.7.12
BIN=$PWD/node_modules/.cache/actionlint-$VERSION

if ! command -v go >/dev/null; then
  [ "${CI:-}" != true ] || { echo 'workflows: CI needs Go to install actionlint' >&2; exit 1; }
  echo 'workflows: skipped, there is no Go to install actionlint with' >&2
  exit 0
fi
[ -x "$BIN/actionlint" ] || GOBIN=$BIN go install "github.com/rhysd/actionlint/cmd/actionlint@$VERSION"
# Other linters that the machine may have would make the result depend on the machine.
"$BIN/actionlint" -shellcheck= -pyflakes=
