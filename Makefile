# Two commands for a newcomer: `make demo` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

STUDY := $(BIN)/python -m torchrecurrent study
OUT ?= build/studies
# Shorter than a preset's.
SMALL := --set validation_size=1000 --set test_size=10000

.DEFAULT_GOAL := help
.PHONY: help demo test test-triton test-zig test-published cross lint types docs docs-test links wheel bench bench-all studies leaderboard smoke clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

demo: $(VENV)/studies ## learn two real tasks with BRC and nBRC beside LSTM and GRU
	$(BIN)/python -m torchrecurrent.studies.demo

test: $(VENV)/test $(VENV)/studies ## run the tests
	$(BIN)/python -m torchrecurrent.catalog.stubs
	$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

# Every cell once in either precision, and no compiler but Zig's.
test-zig: $(VENV)/test $(VENV)/studies $(VENV)/compiler ## run some of the engine's tests with the compiler of the extra
	rm -rf build/zig && mkdir -p build/zig/bin
	PATH=$(CURDIR)/build/zig/bin CC= TORCHRECURRENT_CACHE_DIR=$(CURDIR)/build/zig/kernels \
	$(CURDIR)/$(BIN)/python -m pytest tests/test_zig.py tests/test_engine.py \
	-k "test_zig or test_threads or (test_equals_the_reference and 2-3-17) or (test_nan_and_infinity and -inf)"

# constraints.txt has the oldest Triton that is taken.
TRITON := build/triton-3.9.0

test-triton: $(VENV)/test $(TRITON) ## run a part of the GPU kernels' tests in the interpreter of the newest Triton
	PYTHONPATH=$(TRITON) $(BIN)/python -m pytest tests/test_triton_first_kernel.py tests/test_triton_scan.py tests/test_triton.py \
		-k "first_kernel or chunks_equal_one or overflows or several_tiles or compile_for or calls_after"

$(TRITON):
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $@ triton==$(patsubst build/triton-%,%,$@)

test-published: $(VENV)/test ## run the cells of other packages, which it installs into build/peers, as kernels
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python -m pytest -n logical --maxprocesses 8 tests/test_modules_published.py

cross: $(VENV)/test $(VENV)/studies $(VENV)/compiler ## compile the kernels for other systems, and run them by qemu and Wine where these are
	$(BIN)/python -m tests.cross $(CROSS)

lint: $(VENV)/test ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/test $(VENV)/studies $(VENV)/docs ## check types
	$(BIN)/python -m torchrecurrent.catalog.stubs
	$(BIN)/mypy

docs: $(VENV)/docs $(VENV)/studies ## build the site into docs/_build/html, warnings as errors, and run its examples
	$(BIN)/python -m sphinx -n -W --keep-going -q -b html docs docs/_build/html
	$(BIN)/python -m sphinx -n -W --keep-going -q -b doctest docs docs/_build/doctest

docs-test: $(VENV)/docs $(VENV)/test ## try the built site in a browser (needs chromium)
	$(BIN)/python -m pytest docs/tests

links: $(VENV)/docs $(VENV)/studies ## look whether the documentation's links to other sites work (needs the Internet)
	$(BIN)/python -m sphinx -q -b linkcheck -D plot_gallery=0 docs docs/_build/links

# The wheel is tried where there is no checkout, the sdist by some of its own tests.
wheel: $(VENV)/release $(VENV)/test ## build wheel and sdist into dist, check them, and try both by themselves
	rm -rf dist build/wheel build/sdist && mkdir -p build/wheel build/sdist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(PIP) --no-deps --target build/wheel dist/*.whl
	cd build && PYTHONPATH=wheel ../$(BIN)/python ../tests/wheel.py
	tar -xzf dist/*.tar.gz -C build/sdist --strip-components 1
	cd build/sdist && PYTHONPATH=. ../../$(BIN)/python -m pytest tests/test_imports.py tests/test_oracle.py tests/test_readme.py

bench: $(VENV)/studies ## time the layers beside torch's and those of other packages; takes minutes
	$(BIN)/python -m benchmarks.cpu

bench-all: $(VENV)/studies ## time every cell beside nn.LSTM and torchrecurrent 0.2.5
	$(BIN)/python -m benchmarks.all_cells

studies: $(VENV)/studies ## run the documentation's studies into build/studies; takes hours
	$(STUDY) run adding copy-memory denoising images language-model vowels --out $(OUT)
	$(STUDY) run binary-addition --seeds 5 --out $(OUT)
	$(STUDY) run binary-addition --preset paper --out $(OUT)
	$(STUDY) run binary-addition --preset paper --set num_layers=1 --seeds 3 --cells URLSTM MGU MinimalRNN --out $(OUT)
	$(STUDY) run binary-addition --preset paper --set num_layers=1 --seeds 3 --set curriculum=false --out $(OUT)
	$(STUDY) run copy-first --preset paper --seeds 3 --set length=5 --out $(OUT)
	$(STUDY) run copy-first --preset paper --seeds 3 --set length=100 --set steps=12000 $(SMALL) --out $(OUT)
	$(STUDY) run copy-first --preset paper --seeds 3 --set length=300 --set steps=3500 $(SMALL) --out $(OUT)
	$(STUDY) plot --out $(OUT)
	$(STUDY) report --out $(OUT)

TASKS := adding copy-memory copy-first binary-addition vowels images language-model

leaderboard: $(VENV)/studies ## run every cell on seven small tasks into build/leaderboard; takes hours, and goes on where it stopped
	$(STUDY) run $(TASKS) --preset leaderboard --cells all --out build/leaderboard
	$(BIN)/python -m benchmarks.leaderboard --time

smoke: $(VENV)/studies ## run the demo and the examples for a few steps
	$(BIN)/python -m torchrecurrent.studies.demo --smoke --out build/smoke
	for each in examples/*.py; do echo $$each && $(BIN)/python $$each --steps 3 || exit 1; done

clean: ## remove what the other commands made
	rm -rf $(VENV) build docs/_build docs/cells docs/leaderboard/*.rst docs/leaderboard/*.txt docs/worked_examples .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/studies $(VENV)/test $(VENV)/docs $(VENV)/compiler $(VENV)/release: $(VENV)/%: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[$*]'
	@touch $@
