#!/usr/bin/env bash
# Builds an S3 server for tests, and prints the path of its program.
#
#   assemble.sh
#
# Tests need the real thing: signatures, listings, ranges and errors as a server makes them. versitygw serves S3 out of a folder,
# is written apart from what is tested here, and is had from the Go module proxy alone.
#
# It is kept in $TICKEY_TEST_CACHE (~/.cache/tickey-test), and may be deleted at any time when no test runs.
set -euo pipefail

version=v1.8.0
# What its go.mod asks for. Go 1.21 and later fetch that by themselves, when they may (GOTOOLCHAIN).
go_needed=1.25
cache=${TICKEY_TEST_CACHE:-$HOME/.cache/tickey-test}
home=$cache/versitygw-$version

fail() {
  echo "assemble.sh: $1" >&2
  exit 1
}

if [ ! -x "$home/versitygw" ]; then
  command -v go >/dev/null ||
    fail "a test needs an S3 server, and building one needs 'go' $go_needed or later: apt-get install golang-go"
  mkdir -p "$cache"
  # Tests that start at the same time wait for the first of them.
  exec 8>"$cache/s3-lock"
  flock 8
  if [ ! -x "$home/versitygw" ]; then
    echo "assemble.sh: building versitygw $version in $home, which takes some minutes the first time" >&2
    rm -rf "$home.new"
    mkdir -p "$home.new"
    GOTOOLCHAIN=${GOTOOLCHAIN:-auto} CGO_ENABLED=0 GOBIN=$home.new go install "github.com/versity/versitygw/cmd/versitygw@$version" >&2 </dev/null ||
      fail "go could not build versitygw $version: it needs go $go_needed or later (this is $(go env GOVERSION)) and a Go module proxy"
    # In one step, so that what is at $home is always whole.
    rm -rf "$home"
    mv "$home.new" "$home"
  fi
fi
echo "$home/versitygw"
