#!/usr/bin/env bash
# Makes an image that runs a node of the Elasticsearch that the other tests use, and the load of this one.
#
#   elasticsearch-image.sh IMAGE ARCHIVE
#
# For clusters that cannot fetch the official image. The archive is one of Docker's (`docker load`, `ctr images import`), made
# without a container engine: Debian's packages with Java and curl, the home that tests/elasticsearch/assemble.sh makes,
# the scripts beside it, and Load.java. It is made again only when one of these changes.
set -euo pipefail

image=${1:?which name?}
archive=${2:?which file?}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${TICKEY_TEST_CACHE:-$HOME/.cache/tickey-test}/kubernetes
mkdir -p "$cache" "$(dirname "$archive")"

for tool in buildah mmdebstrap javac; do
  command -v $tool >/dev/null ||
    { echo "elasticsearch-image.sh: needs '$tool': apt-get install buildah mmdebstrap openjdk-17-jdk-headless" >&2; exit 1; }
done

home=$("$here/../elasticsearch/assemble.sh" </dev/null)
stamp="$image $home $(cat "$here"/{elasticsearch-image.sh,Load.java} "$here"/../elasticsearch/*.sh | sha256sum)"
[ -s "$archive" ] && [ "$(cat "$archive.stamp" 2>/dev/null)" = "$stamp" ] && exit 0

# The system under it: fetched once. What it is packed as follows from the name.
# From where this machine gets its own, if that can be told.
mirror=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
  sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' | grep -v security | head -n 1) || true
if [ ! -s "$cache/system.tar" ]; then
  mmdebstrap --quiet --variant=minbase --include=openjdk-17-jre-headless,bash,curl,ca-certificates,libzstd1 \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    bookworm "$cache/new.system.tar" "${mirror:-http://deb.debian.org/debian}"
  mv "$cache/new.system.tar" "$cache/system.tar"
fi

# Storage of its own, so that nothing else on the machine is touched.
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/graph"\nrunroot = "%s/run"\n' "$cache" "$cache" >"$cache/storage.conf"
export CONTAINERS_STORAGE_CONF=$cache/storage.conf
container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null' EXIT
root=$(buildah mount "$container")
tar -C "$root" -xf "$cache/system.tar"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
mkdir -p "$root"/opt/{elasticsearch,node,load}
cp -a "$home/." "$root/opt/elasticsearch/"
cp "$here"/../elasticsearch/node.sh "$root/opt/node/"
javac --release 17 -d "$root/opt/load" "$here/Load.java"
buildah umount "$container" >/dev/null
buildah config --user 1000:1000 --env ES_HOME=/opt/elasticsearch --env HOME=/tmp --entrypoint '["/opt/node/node.sh"]' --cmd '' "$container"
buildah commit --quiet "$container" "$image" >/dev/null
rm -f "$archive"
buildah push --quiet "$image" "docker-archive:$archive:$image"
buildah rmi "$image" >/dev/null
echo "$stamp" >"$archive.stamp"
