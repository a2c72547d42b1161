# Every command of the project. An environment is built once, in .venv, and again only when setup.cfg, pyproject.toml or the constraints change.
#
#   make demo       the Poisson suite in its quick form: a table, report/poisson.html and report/poisson.json
#   make test       everything a change must pass: lint and the tests, except the slow ones
#   make test-all   lint and the tests, the slow ones too
#   make lint       ruff and mypy alone
#   make coverage   the share of solvers/, rom/ and learned/ that the tests run; below 90 % is a failure
#   make dev        .venv with the extras dev, bench and learned
#   make bench      the Poisson suite in full
#   make bench-peers  petrov against SciPy, PyAMG and PETSc (after `make petsc`), with bars: report/peers.html
#   make bench-sequences  recycling, blocks and petrov.Sequence beside a paper and their rivals, an hour: report/sequences.html
#   make bench-rom  reduced models beside pyMOR, ten minutes: report/rom.html
#   make bench-ttn  integrators on trees beside PyTreeNet and TeNPy where they are, ten minutes: report/ttn.html
#   make bench-learned  learned preconditioners beside classical ones, a quarter of an hour: report/learned.html
#   make bench-scaling  scaling over ranks (after `make petsc`), five minutes: rewrites benchmarks/results/scaling.json and docs/scaling.md
#   make history    the asv benchmarks on this commit, kept in report/asv
#   make petsc      PETSc with hypre, MUMPS and GAMG from Debian, and petsc4py and mpi4py into .venv
#   make fenicsx    dolfinx from Debian, and petrov beside it in .venv/fenicsx, for example 34
#   make test-mpi   the tests marked mpi (after `make petsc`)
#   make test-gpu   the tests marked gpu, straight from the tree with the CuPy of PYTHON
#
# PYTHON=python3.12 chooses the interpreter; TORCH=default takes the newest torch instead of the one in .ci/constraints.txt;
# PROCESSES=4 is how many share the tests.

PYTHON ?= python3
TORCH ?= constrained
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python

ifeq ($(filter default constrained,$(TORCH)),)
$(error TORCH is '$(TORCH)': leave it out for the torch of .ci/constraints.txt, or say TORCH=default for the newest)
endif
CONSTRAINTS := $(if $(filter constrained,$(TORCH)),--constraint .ci/constraints.txt)
PIP_INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-all lint coverage dev bench bench-peers bench-sequences bench-rom bench-ttn bench-learned bench-scaling history petsc fenicsx test-mpi test-gpu
.DELETE_ON_ERROR:

# A recipe that fails is removed whole: a half-made .venv would pass for a made one.
$(RUN):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "petrov needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing). Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }

# The stamps: what the demo needs, and what development needs, which is more.
INPUTS := setup.cfg pyproject.toml .ci/constraints.txt

$(VENV)/demo.stamp: $(INPUTS) | $(RUN)
	@echo "Installing petrov with its bench extra into $(VENV): about a minute"
	$(PIP_INSTALL) $(CONSTRAINTS) --editable ".[bench]"
	@touch $@

$(VENV)/dev.stamp: $(INPUTS) | $(RUN)
	@echo "Installing petrov with its extras dev, bench and learned into $(VENV): about two minutes, torch is large"
	$(PIP_INSTALL) $(CONSTRAINTS) --editable ".[dev,bench,learned]"
	@touch $(VENV)/demo.stamp $@

dev: $(VENV)/dev.stamp
	@echo "$(VENV) is ready: . $(BIN)/activate"

demo: $(VENV)/demo.stamp
	@mkdir -p report
	$(BIN)/petrov bench poisson --quick --html report/poisson.html --json report/poisson.json

bench: $(VENV)/demo.stamp
	@mkdir -p report
	$(BIN)/petrov bench poisson --html report/poisson-full.html --json report/poisson-full.json

bench-peers: $(VENV)/demo.stamp
	@mkdir -p report
	$(BIN)/petrov bench peers --html report/peers.html --json report/peers.json

bench-sequences: $(VENV)/demo.stamp
	@mkdir -p report
	$(BIN)/petrov bench sequences --html report/sequences.html --json report/sequences.json

bench-rom: $(VENV)/demo.stamp
	@mkdir -p report
	$(BIN)/petrov bench rom --html report/rom.html --json report/rom.json

bench-ttn: $(VENV)/demo.stamp
	@mkdir -p report
	$(BIN)/petrov bench ttn --html report/ttn.html --json report/ttn.json

bench-learned: $(VENV)/demo.stamp
	@mkdir -p report
	$(BIN)/petrov bench learned --html report/learned.html --json report/learned.json

bench-scaling: $(VENV)/demo.stamp
	$(BIN)/petrov bench scaling --json benchmarks/results/scaling.json --page docs/scaling.md

# asv measures the environment that it is started in; its results are filed under the commit.
ASV := $(BIN)/asv
ASV_CONFIG := --config asv.conf.json

$(ASV): $(VENV)/demo.stamp
	$(PIP_INSTALL) "asv>=0.6.4"

history: $(ASV)
	$(ASV) machine --yes $(ASV_CONFIG)
	$(ASV) run $(ASV_CONFIG) --environment existing:$(abspath $(RUN)) --set-commit-hash $$(git rev-parse HEAD)
	$(ASV) publish $(ASV_CONFIG)

# A type checker cannot follow an editable install of mapped folders, nor see the files added since a strict one:
# it is shown the package as a folder of links.
TYPES := $(VENV)/types
FOLDERS := $(wildcard solvers rom learned benchmarks)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	@rm -rf $(TYPES) && mkdir -p $(TYPES)/petrov
	@cd $(TYPES)/petrov && ln -s $(addprefix ../../../,src/petrov/* $(FOLDERS)) .
	MYPYPATH=$(TYPES) $(BIN)/mypy -p petrov

ELSEWHERE := not mpi and not gpu

# Each process takes half of the tests, folder after folder, and when it has none left, half of what another still has.
PROCESSES ?= 2
SHARED_OUT := --numprocesses $(PROCESSES) --dist worksteal

test: lint
	$(RUN) -m pytest $(SHARED_OUT) -m "not slow and $(ELSEWHERE)"

test-all: lint
	$(RUN) -m pytest $(SHARED_OUT) -m "$(ELSEWHERE)"

# Compiled kernels run out of sight of the measurement: their tests run once more as plain Python, and both runs count.
coverage: $(VENV)/dev.stamp
	$(BIN)/coverage erase
	$(BIN)/coverage run --parallel-mode -m pytest -m "not slow and not packaging and $(ELSEWHERE)"
	NUMBA_DISABLE_JIT=1 $(BIN)/coverage run --parallel-mode -m pytest -m "not slow" -k kernels
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --fail-under=90

# Debian 12's PETSc, and the petsc4py of that version built against it: about two minutes. Debian's own petsc4py fails with NumPy 2.
PETSC_VERSION := 3.18.5
PETSC_DIR ?= /usr/lib/petscdir/petsc$(basename $(PETSC_VERSION))/$(shell uname -m)-linux-gnu-real
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)

PETSC_PACKAGES := libpetsc-real-dev openmpi-bin
INSTALLED = test "$$(dpkg-query --show --showformat '$${db:Status-Abbrev}\n' $(1) 2>/dev/null | grep -c '^ii')" -eq $(words $(1))
PETSC_READY := $(RUN) -c 'import petsc4py; from mpi4py import MPI; from petsc4py import PETSc; assert petsc4py.__version__ == "$(PETSC_VERSION)"'

# What is there already is left as it is: then this takes a second.
petsc: $(VENV)/dev.stamp
	@command -v apt-get >/dev/null || { echo "make petsc is for Debian; elsewhere install PETSc and mpi4py, then: PETSC_DIR=... pip install petsc4py" >&2; exit 1; }
	@$(call INSTALLED,$(PETSC_PACKAGES)) || { \
	    $(AS_ROOT) apt-get update && $(AS_ROOT) apt-get install -y --no-install-recommends $(PETSC_PACKAGES); }
	@$(PETSC_READY) 2>/dev/null || { echo "Building petsc4py $(PETSC_VERSION) into $(VENV): a minute or two"; \
	    $(PIP_INSTALL) numpy "setuptools>=77,<80" wheel mpi4py && \
	    PETSC_DIR=$(PETSC_DIR) CFLAGS=-O1 $(PIP_INSTALL) --no-build-isolation "petsc4py==$(PETSC_VERSION)" && $(PETSC_READY); }
	@echo "PETSc $(PETSC_VERSION) is ready: make test-mpi"

# Debian's dolfinx is built for Debian's Python and for NumPy 1, of which petrov needs a newer one than Debian has.
fenicsx: $(VENV)/dev.stamp
	@command -v apt-get >/dev/null || { echo "make fenicsx is for Debian; elsewhere: conda install -c conda-forge fenics-dolfinx" >&2; exit 1; }
	@$(call INSTALLED,python3-dolfinx openmpi-bin) || { \
	    $(AS_ROOT) apt-get update && $(AS_ROOT) apt-get install -y --no-install-recommends python3-dolfinx openmpi-bin; }
	/usr/bin/python3 -m venv --without-pip --system-site-packages $(VENV)/fenicsx
	$(RUN) -m pip --python $(VENV)/fenicsx/bin/python install --quiet --disable-pip-version-check --editable . "numpy<2"
	@$(VENV)/fenicsx/bin/python -c 'import dolfinx, petrov; print("dolfinx", dolfinx.__version__, "is ready: $(VENV)/fenicsx/bin/python examples/34_inside_fenicsx.py")'

# pytest leaves with 5 when it selected nothing: that is said, and it is no success.
define only_marked
@status=0; $(1) -m pytest -m $(2) || status=$$?; \
    [ $$status -ne 5 ] || echo "No such tests yet: nothing under tests/ is marked $(2), so nothing was shown." >&2; exit $$status
endef

test-mpi: $(VENV)/dev.stamp
	@$(RUN) -c 'import mpi4py, petsc4py' || { echo "The mpi tests need mpi4py and petsc4py in $(VENV): make petsc" >&2; exit 1; }
	@command -v mpiexec >/dev/null || { echo "The mpi tests need mpiexec on the PATH: make petsc" >&2; exit 1; }
	$(call only_marked,$(RUN),mpi)

test-gpu:
	@$(PYTHON) -c 'import cupy, sys; sys.exit(not cupy.cuda.is_available())' || { \
	    echo "The gpu tests need a GPU and CuPy in the Python that runs them ($(PYTHON)): make test-gpu PYTHON=..." >&2; exit 1; }
	$(call only_marked,PYTHONPATH=src $(PYTHON),gpu)
