# shellcheck shell=bash disable=SC2154
# Sourced by prove.sh: compose.yaml starts the image, without its network and port, because this machine has no bridges.
# The other services of compose.yaml are not started: their images cannot be downloaded here. The limits are only read back:
# without cgroups, nothing enforces them.
say "compose"
printf '#!/bin/sh\nexec podman %s "$@"\n' "${store[*]} --runtime crun --cgroup-manager cgroupfs --log-level fatal" >"$state/podman"
chmod +x "$state/podman"
printf 'services:\n  medimageinsight:\n    network_mode: none\n    ports: !reset []\n' >"$state/no-network.yaml"
compose() {
  IMAGE=$image CPUS=1.5 MEMORY=4g "$state/tools/bin/podman-compose" --podman-path "$state/podman" --podman-run-args="${here[*]}" -p "$name" \
    -f docker/compose.yaml -f "$state/no-network.yaml" "$@" >"$state/compose.log" 2>&1 || { cat "$state/compose.log" >&2; return 1; }
}
trap 'compose down -v -t 1 || true' EXIT
compose up -d --no-build
composed=${name}_medimageinsight_1
until_ready "$composed"
ask "$composed"
for setting in '.HostConfig.ReadonlyRootfs true' '.HostConfig.SecurityOpt [no-new-privileges]' '.EffectiveCaps []' \
  '.HostConfig.NanoCpus 1500000000' '.HostConfig.Memory 4294967296' '.HostConfig.PidsLimit 4096' '.HostConfig.LogConfig.Size 10MB'; do
  [ "$(p inspect "$composed" --format "{{${setting% *}}}")" = "${setting#* }" ] || { echo "the container does not have: $setting" >&2; exit 1; }
done
stop "$composed"
