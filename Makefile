# make run | test | lint | docs | bench | soak | demo-model. Installs into .venv with pip, in the versions of constraints.txt.
PYTHON ?= python3
# Package index for torch, such as the CPU-only index of PyTorch's installation page. Empty: pip's own index.
TORCH_INDEX ?=
VENV := .venv
PIP := $(VENV)/bin/pip install --disable-pip-version-check -c constraints.txt
# Number of parallel test processes. The tests of one file run in one process, because they may share a server.
WORKERS ?= 2
# Archive of labelled images on which `make demo-model` trains.
DATA ?= labelled_images_128px.zip

.PHONY: run test lint test-timing test-full test-browser docs bench soak demo-model clean

run: $(VENV)/run.stamp
	exec $(VENV)/bin/medimageinsight serve

test: $(VENV)/dev.stamp
	$(VENV)/bin/pytest -n $(WORKERS) --dist loadfile -m "not timing and not packaging and not full and not browser"

lint: $(VENV)/dev.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	@mkdir -p build
	@$(VENV)/bin/pip-audit -r constraints.txt --no-deps --disable-pip --progress-spinner off > build/audit.txt 2>&1 || \
	  if grep -q "requests.exceptions\|ConnectionError\|ServiceError" build/audit.txt; then \
	    echo "WARNING: the vulnerability service could not be reached; no package was audited"; \
	  else cat build/audit.txt; exit 1; fi
	@unknown=$$(grep -c "could not be audited" build/audit.txt || true); test "$$unknown" = 0 || \
	  echo "WARNING: the package index has no vulnerability data for $$unknown packages"

test-timing: $(VENV)/dev.stamp
	$(VENV)/bin/pytest -m "timing or packaging"

test-full: $(VENV)/dev.stamp
	$(VENV)/bin/pytest -m full

test-browser: $(VENV)/dev.stamp
	$(VENV)/bin/pytest -m browser

docs: $(VENV)/dev.stamp
	$(VENV)/bin/mkdocs build --strict --site-dir build/site

bench: $(VENV)/dev.stamp
	$(VENV)/bin/python -m tests.benchmarks.http_load --size small
	$(VENV)/bin/python -m tests.benchmarks.http_load --size full --rounds 1 --requests 16
	$(VENV)/bin/python -m tests.benchmarks.reference
	$(VENV)/bin/python -m tests.benchmarks.peers
	$(VENV)/bin/python -m tests.benchmarks.overload
	$(VENV)/bin/python -m tests.benchmarks.forms
	$(VENV)/bin/python -m tests.benchmarks.classify

soak: $(VENV)/dev.stamp
	$(VENV)/bin/python -m tests.benchmarks.soak

demo-model: $(VENV)/dev.stamp
	$(VENV)/bin/python -m recipes.demo_model $(DATA)

clean:
	rm -rf $(VENV)

$(VENV)/torch.stamp: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) --no-deps torch torchvision)
	touch $@

$(VENV)/run.stamp: $(VENV)/torch.stamp pyproject.toml client/pyproject.toml
	$(PIP) -e client -e '.[dicom,nifti,nrrd,tiff]'
	touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	$(PIP) -e client -e '.[dev]'
	touch $@
