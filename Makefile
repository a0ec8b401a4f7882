# make run      everything on a bare machine          make test     the whole suite
# make install  the environment alone, in .venv       make lint     what CI checks beside the tests
# make bench    benchmarks                            make docs     the documentation, as HTML

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
# torch is named by itself: a bare requirement may draw gigabytes of CUDA on a machine without a GPU.
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: run install install-dev test lint types format docs bench clean

# Where several processes share the cores, a thread that waits must sleep; a benchmark has them alone.
run test: export OMP_WAIT_POLICY ?= PASSIVE

run: install
	@exec $(BIN)/python manage.py up --port $(PORT)

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Stillroom needs Python 3.11 or newer; name one: make run PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt $(TORCH) -e '.[worker]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[worker,dev]'
	@touch $@

test: install-dev
	$(BIN)/python -m pytest $(ARGS)

# None of these touches a database; the URL only has to parse.
lint: export DATABASE_URL ?= postgres:///unused
lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint templates --lint --quiet
	$(BIN)/python manage.py makemigrations --check --dry-run

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install-dev
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html

bench: install-dev
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV) var docs/_build staticfiles
