# shellcheck shell=bash disable=SC2154
# Sourced by prove.sh: the image serves models that it does not hold. The tests' small checkpoint stands for them; its
# vectors are not those of the demonstration model.
release=$(TQDM_DISABLE=1 .venv/bin/python -m tests.parity.make_checkpoint small "$state/small")
chmod -R a+rX "$state/small"

say "a mounted folder"
start --network none -v "$release:/model:ro" -e MODEL=/model "$image"
ask "$name" "$release"
stop "$name"

say "an id of a hub: fetched once into the volume"
# The hub has a network of its own, and the containers share it: there is nothing in it to fetch from but the hub.
coproc hub { exec unshare -n sh -c 'ip link set lo up && exec .venv/bin/python -m tests.docker.serve_hub "$1"' - "$release"; }
hub_pid=$hub_PID
read -r endpoint <&"${hub[0]}"
fetched() { # COUNT: that many files so far
  echo >&"${hub[1]}"
  read -r count <&"${hub[0]}"
  [ "$count" = "$1" ] || { echo "$count files were fetched, not $1" >&2; exit 1; }
}
model=(-e MODEL=lion-ai/MedImageInsights -v "$name:/models")
files=$(find "$release" -type f | wc -l)
trap 'p rm -f -v -t 1 "$name" >/dev/null 2>&1 || true; p volume rm -f "$name" >/dev/null 2>&1 || true' EXIT
for _ in first second; do
  start --network "ns:/proc/$hub_pid/ns/net" -e HF_ENDPOINT="$endpoint" "${model[@]}" "$image"
  fetched "$files"
  stop "$name"
done
eval "exec ${hub[1]}>&-"
wait "$hub_pid"

say "the same volume, offline"
start --network none -e OFFLINE=true "${model[@]}" "$image"
ask "$name" "$release"
stop "$name"
p volume rm "$name" >/dev/null
