# `make demo` shows what the project does, `make quick` is for daily work, `make test` checks everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
CONSTRAINED := PIP_CONSTRAINT=$(CURDIR)/constraints.txt

LIBRARIES := .venv-libraries
IN_LIBRARIES := PIP_CONSTRAINT=$(CURDIR)/constraints-libraries.txt $(LIBRARIES)/bin/python -m pip --disable-pip-version-check -q

# the tests that train nothing
QUICK_TESTS := $(addprefix tests/,theory data spectra landscape measure showing test_*.py)
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
MEASURED := COVERAGE_FILE=$(CURDIR)/build/coverage/.coverage.
COVERED := --cov --cov-report= --cov-fail-under=0

.PHONY: demo quick test lint types tests libraries coverage docs package browser figures gallery theory-figures bench fuzz mutants kills constraints libraries-constraints clean

demo: $(VENV)/.core
	$(BIN)/uncollapse forecast digits --latents 32 --decoder-variance 10 --html report.html
	@echo "The report: $(CURDIR)/report.html"

test: lint types tests libraries coverage docs package

quick: lint types
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n auto $(wildcard $(QUICK_TESTS))

$(VENV)/.python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.core: $(VENV)/.python pyproject.toml constraints.txt
	$(CONSTRAINED) $(PIP) install -e .
	@touch $@

# torch first and by its exact version: a looser request brings gigabytes of accelerator libraries
$(VENV)/.dev: $(VENV)/.core
	$(CONSTRAINED) $(PIP) install torch==2.13.0
	$(CONSTRAINED) $(PIP) install -e ".[io,dask,torch,lightning,plot,docs,dev]"
	@touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

# one thread a process, one process a core: the tests' matrices are small, and threads only wait for each other
tests: $(VENV)/.dev browser
	rm -rf build/coverage && mkdir -p build/coverage
	$(MEASURED)tests $(ONE_THREAD) $(BIN)/python -m pytest -n auto --durations 15 $(COVERED)

# the libraries whose models are probed, in an environment of their own: they hold back versions of much else
$(LIBRARIES)/.ready: pyproject.toml constraints-libraries.txt
	$(PYTHON) -m venv $(LIBRARIES)
	$(IN_LIBRARIES) install torch==2.13.0
	$(IN_LIBRARIES) install -e ".[torch,libraries]" pytest pytest-cov pytest-timeout pytest-xdist
	@touch $@

libraries: $(LIBRARIES)/.ready
	mkdir -p build/coverage
	$(MEASURED)libraries $(ONE_THREAD) $(LIBRARIES)/bin/python -m pytest -n auto --dist loadfile -m libraries tests/libraries $(COVERED)

# of both environments together: the probes of other libraries run in theirs
coverage: tests libraries
	cd build/coverage && ../../$(BIN)/coverage combine -q --keep --rcfile=../../pyproject.toml --data-file=.coverage .coverage.tests* .coverage.libraries*
	$(BIN)/coverage report --data-file=build/coverage/.coverage

# a hundred kills over `train` and `sweep`, at random times; `make tests` has twelve
kills: $(VENV)/.dev
	UNCOLLAPSE_KILLS=100 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/commands/test_stopping.py -k killed

docs: $(VENV)/.dev
	$(BIN)/typer uncollapse.commands.app utils docs --name uncollapse --title "The command" --output docs/command.md >/dev/null
	$(BIN)/python docs/make_results.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site

package: $(VENV)/.dev
	rm -rf build/dist build/clean
	$(BIN)/python -m build --outdir build/dist . >build/build.log 2>&1 || (cat build/build.log; exit 1)
	for file in build/dist/*.whl build/dist/*.tar.gz; do \
		rm -rf build/clean && $(PYTHON) -m venv build/clean && \
		$(CONSTRAINED) build/clean/bin/python -m pip --disable-pip-version-check -q install "$$file" && \
		(cd build && clean/bin/python -W error -c "import uncollapse; uncollapse.forecast" && \
		clean/bin/uncollapse forecast iris --html clean/report.html >/dev/null) || exit 1; \
	done
	@echo "wheel and sdist install and run in a clean environment"

# the report's tests need a Chromium: the system's, Debian's package, or Playwright's own
browser: $(VENV)/.dev
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null \
		|| (apt-get update -qq && apt-get install -y -qq chromium) >/dev/null 2>&1 \
		|| $(BIN)/playwright install chromium

figures: $(VENV)/.dev browser
	$(BIN)/python docs/make_figures.py

# twelve reports: some minutes; TEXT_DIR is the folder that has names.txt, a first name a line
gallery: $(VENV)/.dev browser
	$(ONE_THREAD) $(BIN)/python docs/make_gallery.py

# the pictures and measured tables of the theory pages: about half an hour
theory-figures: $(VENV)/.dev browser
	$(BIN)/python docs/make_theory_figures.py
	$(BIN)/python docs/make_landscape_figures.py
	$(BIN)/python benchmarks/thresholds/measure.py

# a hundred thousand odd inputs: a quarter of an hour; FUZZ_SEED=1 for others
fuzz: $(VENV)/.dev
	$(ONE_THREAD) $(BIN)/python tests/fuzz/run.py $(INPUTS)

# every operator, comparison and number of theory/ changed in turn: which changes do its tests miss?
mutants: $(VENV)/.dev
	rm -rf mutants
	$(ONE_THREAD) $(BIN)/mutmut run $(MUTANTS)
	$(BIN)/mutmut results

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/run.py

constraints: $(VENV)/.dev
	(echo "# Versions that the Makefile and CI install; made by \`make constraints\`."; \
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/^torch==.*/torch==2.13.0/') > constraints.new
	mv constraints.new constraints.txt

libraries-constraints: $(LIBRARIES)/.ready
	(echo "# Versions that \`make libraries\` installs; made by \`make libraries-constraints\`."; \
	$(LIBRARIES)/bin/python -m pip freeze --exclude-editable | sed 's/^torch==.*/torch==2.13.0/') > constraints.new
	mv constraints.new constraints-libraries.txt

clean:
	rm -rf $(VENV) $(LIBRARIES) build report.html
