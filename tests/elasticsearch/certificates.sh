#!/usr/bin/env bash
# Makes a certificate authority for one test, and a certificate for its nodes.
#
#   certificates.sh FOLDER NAME-OR-ADDRESS...
#
# FOLDER gets ca.crt, to be trusted by clients, and node.crt and node.key, good for each NAME-OR-ADDRESS both as a server and
# as a client (nodes are both to each other). Does nothing when they are there already.
set -euo pipefail

folder=${1:?which folder?}
shift
[ $# -gt 0 ] || { echo "certificates.sh: which names or addresses?" >&2; exit 1; }
[ -e "$folder/node.crt" ] && exit 0
command -v openssl >/dev/null || { echo "certificates.sh: needs 'openssl': apt-get install openssl" >&2; exit 1; }

mkdir -p "$folder"
cd "$folder"

names=
for name in "$@"; do
  case $name in
    *:* | [0-9]*.[0-9]*.[0-9]*.[0-9]*) names+=,IP:$name ;;
    *) names+=,DNS:$name ;;
  esac
done

quietly() {
  local said
  said=$("$@" 2>&1) || { echo "certificates.sh: $* failed: $said" >&2; exit 1; }
}

# Elliptic curves, because making RSA keys takes longer than all the rest.
new_key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
quietly openssl req -x509 "${new_key[@]}" -keyout ca.key -out ca.crt -days 30 -subj "/CN=Throw-away authority of a test" \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
quietly openssl req "${new_key[@]}" -keyout node.key -out node.csr -subj /CN=node
printf '%s\n' "subjectAltName=${names#,}" extendedKeyUsage=serverAuth,clientAuth basicConstraints=CA:FALSE >node.ext
# Last, as it is what tells that all is done.
quietly openssl x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile node.ext -out node.crt.new

# A container runs its node as a user of its own, who must be able to read this.
chmod 755 .
chmod 644 node.key
rm -f ca.key ca.srl node.csr node.ext
mv node.crt.new node.crt
