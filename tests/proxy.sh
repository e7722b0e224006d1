#!/usr/bin/env bash
# Tries docs/proxy/nginx.conf and docs/proxy/Caddyfile as they are: the demonstration behind each of them, and behind
# another proxy in front of each. Only ports, paths of files and the certificate are replaced. Everything stays on
# this machine; no service of the system is touched.
#
#   proxy.sh
#
#   TICKEY      the program (target/release/tickey)
#   NGINX_BIN   nginx (nginx); NGINX_ETC the folder with the nginx.conf that includes the site (/etc/nginx)
#   CADDY_BIN   caddy (caddy)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tickey=${TICKEY:-$root/target/release/tickey}
nginx=${NGINX_BIN:-$(command -v nginx || echo /usr/sbin/nginx)}
nginx_etc=${NGINX_ETC:-/etc/nginx}
caddy=${CADDY_BIN:-caddy}
work=$(mktemp -d)
chmod 755 "$work" # nginx's workers run as another user when this runs as root.
visitor=127.0.9.9 # Another network than the proxies' 127.0.0.1.
pids=()

finish() {
  local status=$?
  trap - EXIT
  set +e
  if [ $status != 0 ]; then
    tail -n 5 "$work"/*.err "$work"/log/*/*
  fi
  [ ${#pids[@]} = 0 ] || { kill "${pids[@]}"; wait "${pids[@]}"; } 2>/dev/null
  rm -rf "$work"
  exit $status
}
trap finish EXIT

fail() { echo "FAILED${round:+ ($round)}: $1" >&2; exit 1; }
same() { [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"; } # same WHAT EXPECTED GOT
holds() { case $3 in *"$2"*) ;; *) fail "$1: no '$2' in: $3" ;; esac; } # holds WHAT PART TEXT

start() { # start NAME COMMAND…: in the background, with what it prints in NAME.out and its messages in NAME.err
  local name=$1
  shift
  "$@" >"$work/$name.out" 2>"$work/$name.err" &
  pids+=($!)
}

eventually() { # eventually WHAT COMMAND…: until it succeeds
  local what=$1 end=$((SECONDS + 30))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "$what: not within 30 s"
    sleep 0.1
  done
}

replace() { # replace FILE FROM TO: everywhere in the file, in which it must stand
  python3 - "$@" <<'PY'
import sys
path, old, new = sys.argv[1:]
text = open(path).read()
assert old in text, f"{path} has no {old!r} any more: mend tests/proxy.sh"
open(path, "w").write(text.replace(old, new))
PY
}

free_ports() { # free_ports N: so many ports that nobody listens on
  python3 - "$1" <<'PY'
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(socket.getsockname()[1] for socket in sockets))
PY
}
read -r tickey_n tickey_c nginx_http nginx_https caddy_http caddy_https front_n front_c <<<"$(free_ports 8)"

# A certificate for nginx and the proxies in front. Caddy makes its own, by a CA of its own.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=music.example" \
  -addext "subjectAltName=DNS:music.example" -keyout "$work/privkey.pem" -out "$work/fullchain.pem" 2>/dev/null

start_tickey() { # start_tickey NAME PORT
  start "tickey-$1" "$tickey" demo --data-dir "$work/data-$1" --listen "127.0.0.1:$2" --ops-listen 127.0.0.1:0 \
    --public-url https://music.example --trusted-proxies 127.0.0.1
  eventually "tickey listens" grep '"listening"' "$work/tickey-$1.err"
}

# nginx with the distribution's own nginx.conf around SITE, a file in the folder of the work.
start_nginx() { # start_nginx NAME SITE
  local conf=$work/$1.nginx.conf
  mkdir -p "$work/log/$1" "$work/temp/$1"
  cp "$nginx_etc/nginx.conf" "$conf"
  replace "$conf" "include $nginx_etc/modules-enabled/*.conf;" "" 2>/dev/null ||
    replace "$conf" "include /etc/nginx/modules-enabled/*.conf;" ""
  replace "$conf" "include /etc/nginx/mime.types" "include $nginx_etc/mime.types"
  replace "$conf" "include /etc/nginx/sites-enabled/*;" ""
  replace "$conf" "include /etc/nginx/conf.d/*.conf;" "include $2; client_body_temp_path $work/temp/$1/body;
    proxy_temp_path $work/temp/$1/proxy; fastcgi_temp_path $work/temp/$1/f; uwsgi_temp_path $work/temp/$1/u;
    scgi_temp_path $work/temp/$1/s;"
  replace "$conf" "/var/log/nginx" "$work/log/$1"
  replace "$conf" "/run/nginx.pid" "$work/$1.pid"
  start "$1" "$nginx" -c "$conf" -p "$work" -g "daemon off;"
}

start_caddy() { # start_caddy NAME FILE
  start "$1" env HOME="$work" XDG_DATA_HOME="$work/data" XDG_CONFIG_HOME="$work/config" "$caddy" run --config "$2" --adapter caddyfile
}

# The two configurations.
site=$work/tickey.conf
cp "$root/docs/proxy/nginx.conf" "$site"
replace "$site" "server 127.0.0.1:8080;" "server 127.0.0.1:$tickey_n;"
replace "$site" "listen 80;" "listen 127.0.0.1:$nginx_http;"
replace "$site" "listen 443 ssl http2;" "listen 127.0.0.1:$nginx_https ssl http2;"
replace "$site" "listen [::]:80;" ""
replace "$site" "listen [::]:443 ssl http2;" ""
replace "$site" "/etc/letsencrypt/live/music.example" "$work"
replace "$site" "/var/log/nginx" "$work/log/nginx"
replace "$site" "# location ^~ /admin/" "location ^~ /admin/"

caddyfile=$work/Caddyfile
mkdir -p "$work/log/caddy"
cp "$root/docs/proxy/Caddyfile" "$caddyfile"
replace "$caddyfile" "	servers {" "	admin off
	local_certs
	skip_install_trust
	http_port $caddy_http
	https_port $caddy_https
	default_bind 127.0.0.1
	servers {"
replace "$caddyfile" "127.0.0.1:8080" "127.0.0.1:$tickey_c"
replace "$caddyfile" "/var/log/caddy" "$work/log/caddy"
replace "$caddyfile" "# respond /admin/*" "respond /admin/*"
replace "$caddyfile" "# trusted_proxies 192.0.2.0/24" "trusted_proxies 127.0.0.1/32"
caddy_ca=$work/data/caddy/pki/authorities/local/root.crt

start_tickey nginx "$tickey_n"
start_tickey caddy "$tickey_c"
start_nginx nginx "$site"
start_caddy caddy "$caddyfile"
eventually "Caddy has a CA" test -s "$caddy_ca"

# Another proxy in front of each, as a provider's load balancer would be: it names the visitor in X-Forwarded-For.
front=$work/front.conf
cat >"$front" <<FRONT
ssl_certificate $work/fullchain.pem;
ssl_certificate_key $work/privkey.pem;
access_log off;
proxy_ssl_name music.example;
proxy_ssl_server_name on;
proxy_ssl_verify on;
proxy_http_version 1.1;
proxy_set_header Host music.example;
proxy_set_header X-Forwarded-For \$remote_addr;
server {
  listen 127.0.0.1:$front_n ssl http2;
  gzip off;
  location / { proxy_pass https://127.0.0.1:$nginx_https; proxy_ssl_trusted_certificate $work/fullchain.pem; }
}
server {
  listen 127.0.0.1:$front_c ssl http2;
  gzip off;
  location / { proxy_pass https://127.0.0.1:$caddy_https; proxy_ssl_trusted_certificate $caddy_ca; }
}
FRONT
start_nginx front "$front"

ask() { # ask CURL'S ARGUMENTS…: as a visitor, with the certificate checked
  curl --silent --show-error --max-time 20 --interface $visitor --cacert "$ca" \
    --connect-to "music.example:443:127.0.0.1:$https" --connect-to "music.example:80:127.0.0.1:$http" "$@"
}
secrets=()

# Everything that people and programs do, through the proxy at $https with the CA $ca, with two keys.
try() { # try KEY KEY
  local key=$1 other=$2 body receipt link sum answer
  eventually "the proxy serves" ask --fail https://music.example/healthz

  same "HTTP" 2 "$(ask -o /dev/null -w '%{http_version}' https://music.example/)"
  answer=$(ask -D - -o /dev/null --compressed -H 'Accept: text/html' https://music.example/)
  same "HSTS is sent once" 1 "$(grep -ci '^strict-transport-security' <<<"$answer" || true)"
  same "pages are not compressed" 0 "$(grep -ci '^content-encoding' <<<"$answer" || true)"
  same "metrics stay inside" 404 "$(ask -o /dev/null -w '%{http_code}' https://music.example/metrics)"
  answer=$(ask -D - https://music.example/admin/stats)
  same "/admin is answered by the proxy" 0 "$(grep -ci '^x-request-id' <<<"$answer" || true)"

  # A program redeems, is given links to the public address, and repeats itself.
  redeem() { ask --fail-with-body -H "Idempotency-Key: try-$key" -d "key=$key" "$@" https://music.example/redemptions; }
  body=$(redeem -H 'X-Forwarded-For: 198.51.100.1')
  receipt=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["redemption"]["receipt_url"])' "$body")
  holds "receipt" "https://music.example/redemptions/" "$receipt"
  same "the same request has the same answer" "$body" "$(redeem)"
  holds "a repeated request" "idempotency-replayed: true" "$(redeem -o /dev/null -D -)"
  secrets+=("$key" "${key//-/}" "try-$key" "${receipt##*/}")

  # Downloads: whole, a part, and the rest of it.
  python3 -c 'import json, sys; [print(f["url"], f["sha256"]) for f in json.loads(sys.argv[1])["files"]]' "$body" >"$work/links"
  while read -r link sum; do
    holds "link" "https://music.example/files/" "$link"
    same "a download" "$sum" "$(ask --fail "$link" | sha256sum | cut -d' ' -f1)"
    secrets+=("${link##*\?}" "${link#https://music.example}")
  done <"$work/links"
  read -r link sum <"$work/links"
  ask --fail -r 0-9 -o "$work/part" -D "$work/head" "$link"
  holds "a part" "206" "$(head -n 1 "$work/head")"
  same "a part" 10 "$(stat -c %s "$work/part")"
  ask --fail -C - -o "$work/part" "$link"
  same "a resumed download" "$sum" "$(sha256sum <"$work/part" | cut -d' ' -f1)"

  # A browser redeems by the form.
  answer=$(ask -o /dev/null -w '%{http_code} %{redirect_url}' -H 'Accept: text/html' -H 'Origin: https://music.example' \
    -H 'Sec-Fetch-Site: same-origin' -d "key=$other" -d idempotency_key=form https://music.example/redemptions)
  holds "the form" "303 https://music.example/redemptions/" "$answer"
  answer=${answer#303 }
  holds "the holder's page" "/files/" "$(ask --fail -H 'Accept: text/html' -e "$answer" "$answer")"
  secrets+=("$other" "${other//-/}" "${answer##*/}")

  # Refusals come in tickey's words.
  holds "a mistyped key" '"reason":"mistyped"' "$(ask -d key=SSZ5AW8H8VHTPRE95B9EE0ZA3 https://music.example/redemptions)"
  # Over HTTP/1.1: older curls lose the answer of HTTP/2 when the server takes no more of the body.
  holds "a large body" '"reason":"too_large"' "$(ask --http1.1 -d "key=$(printf '%05000d' 0)" https://music.example/redemptions)"
}

redirect() { # redirect: from http to https, with the path
  eventually "the proxy listens" ask http://music.example/
  same "http" "308 https://music.example/redemptions/secret-of-nobody" \
    "$(ask -o /dev/null -w '%{http_code} %{redirect_url}' http://music.example/redemptions/secret-of-nobody |
      sed 's#music.example:[0-9]*/#music.example/#')"
  secrets+=(secret-of-nobody)
}

# The demonstration's fresh keys.
mapfile -t keys < <(sed -n '2,9p' "$root/seed/demo-keys.csv" | cut -d, -f1)
round=nginx ca=$work/fullchain.pem http=$nginx_http https=$nginx_https
redirect
try "${keys[0]}" "${keys[1]}"
round=Caddy ca=$caddy_ca http=$caddy_http https=$caddy_https
redirect
try "${keys[0]}" "${keys[1]}"
ca=$work/fullchain.pem
round="a proxy, nginx" https=$front_n
try "${keys[2]}" "${keys[3]}"
round="a proxy, Caddy" https=$front_c
try "${keys[2]}" "${keys[3]}"
round=

# tickey sees the network of the visitor, whatever is in front and whatever the visitor says.
for log in "$work/tickey-nginx.err" "$work/tickey-caddy.err"; do
  same "networks in tickey's log" '"client":"127.0.9.0/24"' "$(grep -o '"client":"[^"]*"' "$log" | sort -u)"
done

# What fails is logged as well: without tickey, with a client that goes away, and with a head that is too large.
kill "${pids[0]}" "${pids[1]}"
wait "${pids[0]}" "${pids[1]}"
for proxy in nginx caddy; do
  if [ $proxy = nginx ]; then ca=$work/fullchain.pem https=$nginx_https; else ca=$caddy_ca https=$caddy_https; fi
  while read -r link _; do
    same "without tickey" 502 "$(ask -o /dev/null -w '%{http_code}' "$link")"
    ask -o /dev/null -H "X-Large: $(printf '%0100000d' 0)" "$link" 2>/dev/null || true
    ask --http1.1 -o /dev/null -H "X-Large: $(printf '%0100000d' 0)" "$link" 2>/dev/null || true
  done <"$work/links"
  same "without tickey" 502 "$(ask --http1.1 -o /dev/null -w '%{http_code}' -d "key=${keys[0]}" https://music.example/redemptions)"
done
kill "${pids[@]:2}"
wait "${pids[@]:2}" || true
pids=()

# The logs were written, and no secret is in them. (The demonstration prints its keys, on standard output.)
grep -q ' POST /redemptions 201 .*request_id=[0-9a-f-]\{36\}' "$work/log/nginx/tickey.log" || fail "nginx logs no redemptions"
grep -q ' GET /files/{link} 206 ' "$work/log/nginx/tickey.log" || fail "nginx logs no downloads"
grep -q ' 127.0.9.0/24 ' "$work/log/nginx/tickey.log" || fail "nginx logs no networks"
grep -q '"method":"POST".*"status":201' "$work/log/caddy/tickey.log" || fail "Caddy logs no redemptions"
grep -q '"remote_ip":"127.0.9.0"' "$work/log/caddy/tickey.log" || fail "Caddy logs no networks"
grep -q '"http.log.error' "$work/caddy.err" || fail "Caddy logs no errors"
printf '%s\n' "${secrets[@]}" >"$work/secrets"
if grep -rFif "$work/secrets" "$work/log/nginx" "$work/log/caddy" "$work"/*.err "$work"/{nginx,caddy}.out; then fail "secrets are in the logs above"; fi
echo "nginx $("$nginx" -v 2>&1 | sed 's/.*nginx.//') and Caddy $("$caddy" version | cut -d' ' -f1): ${#secrets[@]} secrets in no log, $SECONDS s"
