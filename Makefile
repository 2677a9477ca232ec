# `make help` lists the targets. What they need is installed into .venv with pip, in the versions of constraints.txt.
PYTHON ?= python3
# Package index for torch, such as the CPU-only index of PyTorch's installation page. Empty: pip's own index.
TORCH_INDEX ?=
VENV := .venv
EXTRAS := dicom,nifti,nrrd,tiff
PIP_LOG := $(VENV)/pip.log
# Number of parallel test processes. The tests of one file run in one process, because they may share a server.
WORKERS ?= 2
# Archive of labelled images on which `make demo-model` trains.
DATA ?= labelled_images_128px.zip

# $(call pip_install,ARGUMENTS) shows what pip says. If that fails, the last line says what to do about it.
UNREACHABLE := connection broken by|connection error|confirming the ssl certificate
define pip_install
@rm -f $(PIP_LOG)
@echo "pip install $(1)"; \
$(VENV)/bin/pip install --disable-pip-version-check --log $(PIP_LOG) -c constraints.txt $(1) || { \
	if grep -qsE '$(UNREACHABLE)' $(PIP_LOG); then \
		echo "The packages could not be downloaded, because pip did not reach a package index: set HTTPS_PROXY to a proxy," \
			"or PIP_INDEX_URL (and TORCH_INDEX for torch) to an index that this machine reaches;" \
			"docs/deploy.md describes the way without internet access." >&2; \
	else echo "The packages could not be installed; pip says why above, and all of it in $(PIP_LOG)." >&2; fi; exit 1; }
endef

.DEFAULT_GOAL := help
.PHONY: help run test lint test-timing test-full test-browser docs bench soak demo-model clean

help: ## list the targets
	@echo 'make TARGET'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'Variables, such as in: PORT=8001 make run'
	@echo '  PORT           port of `make run` (8000)'
	@echo '  MODEL          model of `make run`, such as lion-ai/MedImageInsights'
	@echo '                 (demonstration model); docs/settings.md has the other settings'
	@echo '  PYTHON         Python 3.11 or newer that makes .venv (python3)'
	@echo '  TORCH_INDEX    package index for torch, such as that of builds without CUDA'
	@echo '  WORKERS        parallel processes of `make test` (2)'
	@echo '  DATA           archive of labelled images for `make demo-model`'

run: $(VENV)/run.stamp ## install what is missing, and serve: http://127.0.0.1:8000
	exec $(VENV)/bin/medimageinsight serve

test: $(VENV)/dev.stamp ## run the tests
	$(VENV)/bin/pytest -n $(WORKERS) --dist loadfile -m "not timing and not packaging and not full and not browser"

lint: $(VENV)/dev.stamp ## check style, types and known vulnerabilities
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

test-timing: $(VENV)/dev.stamp ## run the tests that measure time or memory, and build packages
	$(VENV)/bin/pytest -m "timing or packaging"

test-full: $(VENV)/dev.stamp ## run the parity test at full size (6 GB of memory)
	$(VENV)/bin/pytest -m full

test-browser: $(VENV)/dev.stamp ## run the tests that need Chromium
	$(VENV)/bin/pytest -m browser

docs: $(VENV)/dev.stamp ## build the documentation into build/site
	$(VENV)/bin/mkdocs build --strict --site-dir build/site

bench: $(VENV)/dev.stamp ## run the benchmarks
	$(VENV)/bin/python -m tests.benchmarks.http_load --size small
	$(VENV)/bin/python -m tests.benchmarks.http_load --size full --rounds 1 --requests 16
	$(VENV)/bin/python -m tests.benchmarks.reference
	$(VENV)/bin/python -m tests.benchmarks.peers
	$(VENV)/bin/python -m tests.benchmarks.overload
	$(VENV)/bin/python -m tests.benchmarks.forms
	$(VENV)/bin/python -m tests.benchmarks.classify

soak: $(VENV)/dev.stamp ## send good and bad requests for 20 minutes
	$(VENV)/bin/python -m tests.benchmarks.soak

demo-model: $(VENV)/dev.stamp ## train the demonstration model
	$(VENV)/bin/python -m recipes.demo_model $(DATA)

clean: ## remove .venv
	rm -rf $(VENV)

$(VENV)/torch.stamp: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(call pip_install,--index-url $(TORCH_INDEX) --no-deps torch torchvision))
	touch $@

$(VENV)/run.stamp: $(VENV)/torch.stamp pyproject.toml client/pyproject.toml
	$(call pip_install,-e client -e '.[$(EXTRAS)]')
	touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	$(call pip_install,-e client -e '.[dev]')
	touch $@
