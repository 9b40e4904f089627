# Four commands are all there is to know: make demo, make test, make check, make bench (and make docs, and
# make catalogue).
# Each sets up what it needs in $(VENV); a second run finds it there.

PYTHON ?= python3.11
VENV ?= .venv
IMAGES ?= ../shared/data/imagenet_sample_250
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check bench bench-exports catalogue peers docs install starter clean

# The main job on embedded defaults: no torch, no network after installation.
demo: $(VENV)/.fit
	$(BIN)/signet demo --out demo --overwrite

# LARGE=1 also runs the networks that take long.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile $(if $(LARGE),-m "large or not large")

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/check_sizes.py

bench: $(VENV)/.dev
	$(PIP) transformers accelerate
	$(BIN)/python benchmarks/end_to_end.py --images $(IMAGES) --work build/bench
	$(BIN)/python benchmarks/first_prediction.py --seal build/bench/mobilenet_v2.signet --image $(IMAGES)

# Every exported file against its seal, in its own runtime. LITERT_PYTHON: one that has litert-torch (docs/exporting.md).
bench-exports: $(VENV)/.dev
	$(PIP) executorch coremltools ai-edge-litert
	SIGNET_LITERT_PYTHON=$(LITERT_PYTHON) $(BIN)/python benchmarks/exports.py timm/mobilenetv2_100.coral_in1k torchvision/squeezenet1_0.dc_in1k --images $(IMAGES)

# Every system of the list: its cards, its count, and that it runs, learns and can be frozen. LARGE=1 also runs
# what is not small (an hour or two, up to 20 GB) and keeps the outcome; AGAIN=1 does so anew.
catalogue: $(VENV)/.dev
	$(BIN)/python tools/catalogue_table.py $(if $(LARGE),--large) $(if $(AGAIN),--again)

# Every architecture of the list beside its own library; hours, and it goes on where it was.
peers: $(VENV)/.dev
	$(BIN)/python benchmarks/peers_identity.py --images $(IMAGES)

docs: $(VENV)/.dev
	$(PIP) pdoc
	$(BIN)/pdoc signet --output-directory build/docs

install: $(VENV)/.dev

# Train the embedded starter again (hours on two cores); see recipes/starter.py --help.
starter: $(VENV)/.dev
	$(BIN)/python recipes/starter.py --help

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.fit: $(VENV)/.python pyproject.toml constraints.txt
	test -e $(VENV)/.dev || $(PIP) --editable '.[fit]'
	touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	touch $@ $(VENV)/.fit

clean:
	rm -rf $(VENV) demo build dist
