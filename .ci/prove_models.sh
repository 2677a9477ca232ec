# shellcheck shell=bash disable=SC2154
# Sourced by prove.sh: the image serves models that it does not contain. The model is the small checkpoint of the tests,
# whose vectors differ from those of the demonstration model.
release=$(TQDM_DISABLE=1 .venv/bin/python -m tests.parity.make_checkpoint small "$state/small")
chmod -R a+rX "$state/small"

say "a mounted folder"
start --network none -v "$release:/model:ro" -e MODEL=/model "$image"
ask "$name" "$release"
stop "$name"

say "a Hugging Face id: downloaded once into the volume"
# The hub and the containers share a network namespace in which nothing else can be reached.
coproc hub { exec unshare -n sh -c 'ip link set lo up && exec .venv/bin/python -m tests.docker.serve_hub "$1"' - "$release"; }
hub_pid=$hub_PID
read -r endpoint <&"${hub[0]}"
fetched() { # COUNT: the hub has served that many files so far
  echo >&"${hub[1]}"
  read -r count <&"${hub[0]}"
  [ "$count" = "$1" ] || { echo "$count files were downloaded instead of $1" >&2; exit 1; }
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

say "the same volume, without a network"
start --network none -e OFFLINE=true "${model[@]}" "$image"
ask "$name" "$release"
stop "$name"
p volume rm "$name" >/dev/null
