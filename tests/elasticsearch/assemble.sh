#!/usr/bin/env bash
# Makes a home for Elasticsearch out of the artifacts that Elastic publishes for Maven, and prints its path.
#
#   assemble.sh
#
# Tests need the real thing also where no container engine runs. The artifacts hold all of the server that matters to them:
# documents, bulk requests, compare-and-set, templates, aliases, security, clusters. They lack painless scripts, reindexing
# and index lifecycle management. What the server cannot start without is in Launcher.java and StandIns.java.
#
# The home is kept in $TICKEY_TEST_CACHE (~/.cache/tickey-test). Other sources make another home beside it, as nodes may still
# be running on the old one; all of it may be deleted at any time when none are.
set -euo pipefail

sources=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's:.*<elasticsearch.version>\(.*\)</elasticsearch.version>.*:\1:p' "$sources/pom.xml")
cache=${TICKEY_TEST_CACHE:-$HOME/.cache/tickey-test}
fingerprint=$(cd "$sources" && sha256sum assemble.sh pom.xml Launcher.java StandIns.java | sha256sum)
home=$cache/elasticsearch-$version/${fingerprint:0:12}
java_bin=${JAVA_HOME:+$JAVA_HOME/bin/}

fail() {
  echo "assemble.sh: $1" >&2
  exit 1
}

require() { # COMMAND PACKAGE
  command -v "$1" >/dev/null || fail "a test needs Elasticsearch, and that needs '$1': apt-get install $2"
}

require_tools() {
  require "${java_bin}java" openjdk-17-jdk-headless
  require "${java_bin}javac" openjdk-17-jdk-headless
  require "${java_bin}jar" openjdk-17-jdk-headless
  require mvn maven
  require openssl openssl
  local release
  release=$("${java_bin}javac" -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
  [ "${release:-0}" -ge 17 ] || fail "Elasticsearch needs Java 17 or later, and javac is ${release:-of an unknown version}: apt-get install openjdk-17-jdk-headless"
}

fetch_jars() { # FOLDER
  mvn --batch-mode --quiet --file "$sources/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$1" >&2 </dev/null ||
    fail "Maven could not fetch Elasticsearch $version: it needs Maven Central or a mirror of it in ~/.m2/settings.xml"
}

# Modules have class loaders of their own, so a jar that two of them need is in both.
module() { # NAME JAR...
  local folder=$new/modules/$1
  mkdir -p "$folder"
  ln -t "$folder" "${@:2}"
  # The descriptor is inside the jar. Without `modulename` the module is loaded from a plain class path.
  (cd "$new/descriptors" && "${java_bin}jar" xf "$folder/$1-$version.jar" META-INF/es-plugins)
  grep -v '^modulename=' "$new/descriptors/META-INF/es-plugins/$1/plugin-descriptor.properties" \
    >"$folder/plugin-descriptor.properties"
}

lay_out() {
  mkdir -p "$new"/{config,descriptors,lib,native}
  (
    cd "$new/jars"
    module transport-netty4 transport-netty4-*.jar netty-*.jar elasticsearch-ssl-config-*.jar
    module x-pack-core x-pack-core-*.jar x-pack-template-resources-*.jar elasticsearch-ssl-config-*.jar \
      commons-codec-*.jar commons-logging-*.jar httpasyncclient-*.jar httpclient-4*.jar httpcore-*.jar \
      log4j-1.2-api-*.jar log4j-slf4j2-impl-*.jar slf4j-api-*.jar unboundid-ldapsdk-*.jar
    module x-pack-security x-pack-security-*.jar transport-netty4-*.jar netty-*.jar accessors-smart-*.jar asm-*.jar \
      content-type-*.jar cryptacular-*.jar failureaccess-*.jar guava-*.jar httpclient-cache-*.jar jakarta.*.jar jcip-*.jar \
      joda-time-*.jar json-smart-*.jar jsr305-*.jar lang-tag-*.jar metrics-core-*.jar nimbus-jose-jwt-*.jar \
      oauth2-oidc-sdk-*.jar java-support-*.jar opensaml-*.jar xmlsec-*.jar
  )
  # A jar that no module has linked is the server's own.
  find "$new/jars" -name '*.jar' -links 1 -exec mv -t "$new/lib" {} +
  rm -r "$new/jars" "$new/descriptors"
}

# Lucene compresses with zstd where an index asks for its best compression, as the one of security does.
link_zstd() {
  local library
  for library in "/usr/lib/$(uname -m)-linux-gnu" /usr/lib64 /usr/lib; do
    if [ -e "$library/libzstd.so.1" ]; then
      ln -s "$library/libzstd.so.1" "$new/native/libzstd.so"
      return
    fi
  done
  fail "Elasticsearch needs libzstd.so.1: apt-get install libzstd1"
}

compile() {
  local stand_ins=$new/modules/stand-ins
  mkdir -p "$stand_ins" "$new/launcher" "$new/classes"
  "${java_bin}javac" --release 17 -cp "$new/lib/*" -d "$new/launcher" "$sources/Launcher.java"
  "${java_bin}jar" cf "$new/lib/launcher.jar" -C "$new/launcher" .
  "${java_bin}javac" --release 17 -cp "$new/lib/*" -d "$new/classes" "$sources/StandIns.java"
  "${java_bin}jar" cf "$stand_ins/stand-ins.jar" -C "$new/classes" .
  rm -r "$new/launcher" "$new/classes"
  cat >"$stand_ins/plugin-descriptor.properties" <<END
name=stand-ins
description=What is needed of modules that are not published
classname=StandIns
version=$version
elasticsearch.version=$version
java.version=17
END
}

configure_log() {
  cat >"$new/config/log4j2.properties" <<'END'
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] [%node_name]%marker %m%consoleException%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
END
}

if [ ! -d "$home" ]; then
  require_tools
  mkdir -p "$(dirname "$home")"
  # Tests that start at the same time wait for the first of them.
  exec 9>"$cache/lock"
  flock 9
  if [ ! -d "$home" ]; then
    echo "assemble.sh: assembling Elasticsearch $version in $home, which takes a minute the first time" >&2
    new=$home.new
    rm -rf "$new"
    fetch_jars "$new/jars"
    lay_out
    link_zstd
    compile
    configure_log
    # In one step, so that what is at $home is always whole.
    mv "$new" "$home"
  fi
fi
echo "$home"
