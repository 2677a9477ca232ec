#!/usr/bin/env bash
# prove_arm64.sh: every package of the images exists for linux/arm64 as a wheel in its pinned version.
#
# pip resolves the packages for an arm64 machine with Python 3.11 and Debian 12's C library (2.36). It installs nothing.
# It may download 2.5 GB if the package index does not publish the metadata of wheels separately.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
platforms=(--platform manylinux2014_aarch64)
for minor in $(seq 17 36); do platforms+=(--platform "manylinux_2_${minor}_aarch64"); done

python3 -c 'import platform, runpy; platform.machine = lambda: "aarch64"; runpy.run_module("pip", run_name="__main__")' \
  install -q --disable-pip-version-check --dry-run --ignore-installed --target "$work/nothing" --report "$work/report.json" \
  --only-binary=:all: "${platforms[@]}" --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none \
  -c constraints.txt ./client '.[dicom,nifti,nrrd,otel,tiff]' cyclonedx-bom 'setuptools>=80' 2>"$work/log" || { grep -v WARNING "$work/log" >&2; exit 1; }

python3 - "$work/report.json" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))
assert report["environment"]["platform_machine"] == "aarch64"
wheels = [item["download_info"]["url"].rpartition("/")[2] for item in report["install"]]
wheels = [name for name in wheels if name.endswith(".whl")]
print(f"{len(wheels)} wheels, {sum('aarch64' in name for name in wheels)} of them built for arm64")
assert len(wheels) == len(report["install"]) - 2  # all except the client and the server, which are folders
assert any(name.startswith("torch-") and "aarch64" in name for name in wheels)
PYTHON
