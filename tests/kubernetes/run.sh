#!/usr/bin/env bash
# Installs the chart on the cluster that KUBECONFIG names and uses it as people do, while pods come and go.
#
#   run.sh
#
#   KUBECONFIG   a cluster that enforces nothing less than it says: Pod Security `restricted` is asked of it
#   LOAD_IMAGE   a command that puts an image's archive onto the cluster's nodes: `LOAD_IMAGE ARCHIVE` (for kind:
#                "kind load image-archive"); unset if the images below are there already
#   IMAGE        archive of tickey-lickey-redeemer:latest, made from the Dockerfile; with LOAD_IMAGE
#   ELASTICSEARCH_IMAGE  archive that elasticsearch-image.sh has made, of tickey-lickey-test-elasticsearch:latest; with LOAD_IMAGE
#   TICKEY       the program, for minting (target/release/tickey)
#   KUBECTL HELM kubectl, helm
#   NAMESPACE    tickey-lickey; must not exist, and is deleted at the end
#
# Elasticsearch is three nodes under the names of the elastic/elasticsearch chart, see elasticsearch.yaml. Fails when
# anything is not as it should be, and when there is no cluster.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
namespace=${NAMESPACE:-tickey-lickey}
tickey=${TICKEY:-$root/target/release/tickey}
chart=$root/charts/redeemer
work=$(mktemp -d)
log=${ARTIFACTS:-$work}

k() { "${KUBECTL:-kubectl}" -n "$namespace" "$@"; }
h() { "${HELM:-helm}" -n "$namespace" "$@"; }

started=$SECONDS
say() { printf '%4d s  %s\n' $((SECONDS - started)) "$1"; }
fail() { say "FAILED: $1"; exit 1; }

# What is left behind by a failure is what explains it.
finish() {
  local status=$?
  trap - EXIT
  set +e
  [ $status = 0 ] || say "FAILED with status $status"
  jobs -p | xargs -r kill 2>/dev/null || true
  if [ $status != 0 ]; then
    k get pods,events -o wide >"$log/kubernetes.txt" 2>&1 || true
    k logs -l app.kubernetes.io/name=redeemer --all-containers --prefix --tail=200 >>"$log/kubernetes.txt" 2>&1 || true
    k logs -l app=elasticsearch-master --prefix --tail=50 >>"$log/kubernetes.txt" 2>&1 || true
    tail -n 40 "$log/kubernetes.txt"
  fi
  "${KUBECTL:-kubectl}" delete namespace "$namespace" --ignore-not-found --wait=true --timeout=120s >/dev/null 2>&1 || true
  rm -rf "$work"
  exit $status
}
trap finish EXIT

eventually() { # SECONDS COMMAND…: until it succeeds
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 1
  done
}

images() {
  [ -n "${LOAD_IMAGE:-}" ] || return 0
  $LOAD_IMAGE "${ELASTICSEARCH_IMAGE:?which archive has the image of Elasticsearch?}" >/dev/null
  $LOAD_IMAGE "${IMAGE:?which archive has the image of the server?}" >/dev/null
  say "images are on the node"
}

namespace() {
  k create namespace "$namespace" >/dev/null
  k label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted pod-security.kubernetes.io/enforce-version=latest >/dev/null
}

elasticsearch() {
  local password
  password=$(openssl rand -hex 12)
  "$root/tests/elasticsearch/certificates.sh" "$work/certificates" elasticsearch-master \
    "elasticsearch-master.$namespace" "elasticsearch-master.$namespace.svc"
  k create secret generic elasticsearch-master-credentials --from-literal=username=elastic --from-literal=password="$password" >/dev/null
  k create secret generic elasticsearch-master-certs --from-file="$work/certificates/ca.crt" \
    --from-file=tls.crt="$work/certificates/node.crt" --from-file=tls.key="$work/certificates/node.key" >/dev/null
  k apply -f "$here/elasticsearch.yaml" >/dev/null
  k rollout status statefulset/elasticsearch-master --timeout=240s >/dev/null || fail "Elasticsearch did not start"
  say "three nodes of Elasticsearch are ready"
}

forward() { # RESOURCE LOCAL REMOTE
  : >"$work/forward-$2.log"
  k port-forward "$1" "$2:$3" >"$work/forward-$2.log" 2>&1 &
  eventually 20 grep -q Forwarding "$work/forward-$2.log" || fail "$1 cannot be reached by port-forward"
}

elasticsearch_curl() { # METHOD PATH [curl's options]
  local method=$1 path=$2
  shift 2
  curl -sS --fail-with-body --cacert "$work/certificates/ca.crt" --resolve elasticsearch-master:19200:127.0.0.1 \
    -u "elastic:$(k get secret elasticsearch-master-credentials -o jsonpath='{.data.password}' | base64 -d)" \
    -X "$method" "https://elasticsearch-master:19200$path" "$@"
}

# Keys of load, minted on this machine and brought in by the chart's own job.
mint() {
  "$tickey" mint --store "sqlite:$work/mint.db" --album slow-tide --batch load --count $((3 * load_keys)) -o "$work/keys.csv" >/dev/null
  k create secret generic seed-keys --from-file=keys.csv="$work/keys.csv" >/dev/null
  local part
  for part in 0 1 2; do
    awk -v first=$((part * load_keys + 2)) -v count=$load_keys 'NR == 1 || (NR >= first && NR < first + count)' \
      "$work/keys.csv" >"$work/keys-$part.csv"
  done
  k create secret generic load-keys --from-file="$work/keys-0.csv" --from-file="$work/keys-1.csv" --from-file="$work/keys-2.csv" >/dev/null
}
load_keys=3400

install() {
  local before=$SECONDS
  h install redeemer "$chart" --wait --timeout 180s -f "$here/values.yaml" >"$work/notes" || fail "helm install"
  say "helm install took $((SECONDS - before)) s, the loading of $((3 * load_keys)) keys included"
}

# From outside, as the README says.
from_outside() {
  forward service/redeemer 18080 8080
  forward service/elasticsearch-master 19200 9200
  curl -fsS http://127.0.0.1:18080 | grep -q '"service"' || fail "no hello"
  elasticsearch_curl POST '/tickets/_bulk?refresh=true' -H 'Content-Type: application/x-ndjson' --data-binary "@$root/seed/ticket-data.json" >"$work/bulk.json"
  local key body
  key=$(sed -n 2p "$root/seed/demo-keys.csv" | cut -d, -f1)
  body=$(curl -fsS -d "key=$key" http://127.0.0.1:18080/redemptions)
  python3 - "$body" <<'PY' || fail "the album did not come whole"
import hashlib, json, sys, urllib.request
for file in json.loads(sys.argv[1])["files"]:
    content = urllib.request.urlopen(file["url"]).read()
    assert len(content) == file["bytes"] and hashlib.sha256(content).hexdigest() == file["sha256"], file
PY
  [ "$(curl -s -o "$work/again.json" -w '%{http_code}' -d "key=$key" http://127.0.0.1:18080/redemptions)" = 409 ] || fail "a second redemption was not refused"
  grep -q already_redeemed "$work/again.json" || fail "no reason was given"
  elasticsearch_curl GET '/tickets/_search?q=status:redeemed&size=1' | grep -q '"redemption"' || fail "the ticket cannot be found"
  k exec deploy/redeemer -- /usr/local/bin/tickey doctor >"$work/doctor" || { cat "$work/doctor"; fail "the doctor has found something"; }
  say "redeemed and downloaded from outside"
}

helm_test() {
  h test redeemer --timeout 120s >"$work/test" 2>&1 || { cat "$work/test"; k logs redeemer-selftest --tail=50; fail "helm test"; }
  say "helm test has redeemed"
}

# Starts load in the cluster: load NAME SECONDS strict|patient
load() {
  sed -e "s/NAME/$1/; s/SECONDS/$2/; s/MODE/$3/; s/PART/$part/" "$here/load.yaml" | k create -f - >/dev/null
  part=$((part + 1))
  eventually 60 sh -c "[ \"\$('${KUBECTL:-kubectl}' -n '$namespace' get pod load-$1 -o jsonpath='{.status.phase}')\" = Running ]" || fail "the load did not start"
  sleep 5
}
part=0

# Waits for the end of load, and checks it.
loaded() { # NAME
  eventually 180 sh -c "'${KUBECTL:-kubectl}' -n '$namespace' get pod load-$1 -o jsonpath='{.status.phase}' | grep -qE 'Succeeded|Failed'" || fail "the load did not end"
  k logs "load-$1" >"$work/load-$1"
  local redeemed
  redeemed=$(sed -n 's/.*"redeemed": \([0-9]*\).*/\1/p' "$work/load-$1")
  acknowledged=$((acknowledged + ${redeemed:-0}))
  say "load $1: $(tail -n 1 "$work/load-$1")"
  [ "$(k get pod "load-$1" -o jsonpath='{.status.phase}')" = Succeeded ] || { head -n 5 "$work/load-$1"; fail "load $1"; }
}
acknowledged=0

rolling() {
  load restart 40 strict
  k rollout restart deployment/redeemer >/dev/null
  k rollout status deployment/redeemer --timeout=120s >/dev/null || fail "rollout restart"
  say "rolled"
  loaded restart
  load upgrade 60 strict
  h upgrade redeemer "$chart" --wait --timeout 120s -f "$here/values.yaml" --set podAnnotations.revision=two >/dev/null || fail "helm upgrade"
  h rollback redeemer 1 --wait --timeout 120s >/dev/null || fail "helm rollback"
  say "upgraded and rolled back"
  loaded upgrade
}

deaths() {
  load deaths 60 patient
  k delete pod "$(k get pods -l app.kubernetes.io/name=redeemer,app.kubernetes.io/component=server -o jsonpath='{.items[0].metadata.name}')" --force --grace-period=0 >/dev/null 2>&1
  sleep 5
  local primary
  primary=$(elasticsearch_curl GET '/_cat/shards/tickets?h=prirep,node' | awk '$1 == "p" { print $2; exit }')
  k delete pod "$primary" --force --grace-period=0 >/dev/null 2>&1
  say "killed a server, and $primary, which had the primary"
  loaded deaths
  k rollout status statefulset/elasticsearch-master --timeout=180s >/dev/null || fail "Elasticsearch did not come back"
  local found
  found=$(k exec deploy/redeemer -- /usr/local/bin/tickey stats --batch load --json | python3 -c '
import json, sys
print(sum(batch["redeemed"] for batch in json.load(sys.stdin)["batches"]))')
  [ "$found" = "$acknowledged" ] || fail "$acknowledged redemptions were acknowledged, and the store has $found"
  say "all $found acknowledged redemptions are in the store, and no other"
}

link_keys() { k get secret redeemer-link-keys -o jsonpath='{.data}'; }

uninstall() {
  local keys
  keys=$(link_keys)
  h uninstall redeemer --wait --timeout 120s >/dev/null || fail "helm uninstall"
  [ "$(link_keys)" = "$keys" ] || fail "the link keys did not outlive the release"
  # Taken up again, and given up when told so.
  h install redeemer "$chart" --wait --timeout 120s --set linkKeys.keep=false >/dev/null || fail "helm install, a second time"
  [ "$(link_keys)" = "$keys" ] || fail "the link keys were not taken up again"
  h uninstall redeemer --wait --timeout 120s >/dev/null || fail "helm uninstall, a second time"
  ! k get secret redeemer-link-keys >/dev/null 2>&1 || fail "the link keys are still there, though they should not be kept"
  say "uninstalled: the link keys stay, unless told otherwise"
}

measure() {
  k get pods -l app.kubernetes.io/component=server -o json | python3 -c '
import datetime, json, sys
time = lambda text: datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
for pod in json.load(sys.stdin)["items"]:
    state = {condition["type"]: time(condition["lastTransitionTime"]) for condition in pod["status"]["conditions"]}
    print("       ", pod["metadata"]["name"], "ready after", (state["Ready"] - time(pod["metadata"]["creationTimestamp"])).seconds, "s")'
}

k version >/dev/null 2>&1 || fail "there is no cluster: set KUBECONFIG"
images
namespace
elasticsearch
mint
install
measure
from_outside
helm_test
rolling
deaths
uninstall
say "all is well"
