#!/usr/bin/env bash
# Runs one node of Elasticsearch in the foreground.
#
#   node.sh NAME FOLDER
#
# Everything that the node writes is in FOLDER, and a node that was killed can be started on it again. The process id is the
# node's: `kill -9` crashes it, SIGSTOP hangs it, SIGTERM stops it in order. It also ends when its standard input does, so give
# it a pipe (`sleep infinity | node.sh …`): a node must not outlive the test that started it.
#
#   ES_HTTP          address:port for clients
#   ES_TRANSPORT     address:port for the other nodes
#   ES_SEEDS         "address:port address:port": where the nodes of the cluster are; none: a cluster of this node alone
#   ES_MASTERS       "n1,n2,n3": the nodes that vote in the cluster's first election; with ES_SEEDS
#   ES_PASSWORD      of the superuser `elastic`
#   ES_CERTIFICATES  the folder that certificates.sh has filled: both listeners speak TLS only
#   ES_HOME          where Elasticsearch is; by default what assemble.sh makes
#   ES_HEAP          512m
#   ES_TIERED        1: starts in half the time; 4: the compiler of production, for measurements
#   ES_EXTRA         lines to append to elasticsearch.yml
set -euo pipefail

name=${1:?which name?}
folder=${2:?which folder?}
: "${ES_HTTP:?}" "${ES_TRANSPORT:?}" "${ES_PASSWORD:?}" "${ES_CERTIFICATES:?}"
heap=${ES_HEAP:-512m}

home=${ES_HOME:-$("$(dirname "${BASH_SOURCE[0]}")/assemble.sh" </dev/null)}

mkdir -p "$folder"/{config/certificates,data,logs,tmp}
folder=$(cd "$folder" && pwd)
# Elasticsearch reads no file outside of its configuration.
cp "$ES_CERTIFICATES"/{ca.crt,node.crt,node.key} "$folder/config/certificates/"
cp "$home/config/log4j2.properties" "$folder/config/"

settings() {
  cat <<END
cluster.name: tickey-test
node.name: $name
path.data: $folder/data
path.logs: $folder/logs
http.host: ${ES_HTTP%:*}
http.port: ${ES_HTTP##*:}
transport.host: ${ES_TRANSPORT%:*}
transport.port: ${ES_TRANSPORT##*:}
# A disk that is nearly full is no reason to refuse the few kilobytes of a test.
cluster.routing.allocation.disk.threshold_enabled: false
xpack.security.enabled: true
# Nodes reach each other by addresses that the certificate may not name.
xpack.security.transport.ssl.verification_mode: certificate
END
  local listener
  for listener in http transport; do
    cat <<END
xpack.security.$listener.ssl.enabled: true
xpack.security.$listener.ssl.key: certificates/node.key
xpack.security.$listener.ssl.certificate: certificates/node.crt
xpack.security.$listener.ssl.certificate_authorities: certificates/ca.crt
END
  done
  if [ -n "${ES_SEEDS:-}" ]; then
    echo "discovery.seed_hosts: [${ES_SEEDS// /,}]"
    echo "cluster.initial_master_nodes: [${ES_MASTERS:?}]"
  else
    echo "discovery.type: single-node"
  fi
  printf '%s\n' "${ES_EXTRA:-}"
}
settings >"$folder/config/elasticsearch.yml"

# The options are those of the distribution's own start script, as far as they matter to so small a node.
options=(
  "-Xms$heap" "-Xmx$heap" -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError "-XX:TieredStopAtLevel=${ES_TIERED:-1}" -XX:-UsePerfData
  -Djava.awt.headless=true -Dfile.encoding=UTF-8 "-Djava.io.tmpdir=$folder/tmp"
  -Djna.nosys=true "-Djna.tmpdir=$folder/tmp"
  -Dio.netty.noUnsafe=true -Dio.netty.noKeySetOptimization=true -Dio.netty.recycler.maxCapacityPerThread=0
  -Dlog4j.shutdownHookEnabled=false -Dlog4j2.disable.jmx=true -Dlog4j2.formatMsgNoLookups=true
  --add-opens=java.base/java.io=ALL-UNNAMED
  "-Des.path.home=$home" "-Des.path.conf=$folder/config" -Des.distribution.type=tar "-Des.nativelibs.path=$home/native"
)
cd "$folder"
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" "${options[@]}" -cp "$home/lib/*" Launcher "$folder/config"
