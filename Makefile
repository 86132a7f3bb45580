# `make` alone lists what there is. The first `demo`, `test`, `lint`, ... builds .venv and installs into it; later ones start at once.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint bench stress soak fuzz lock lab sample clean programs

PY := .venv/bin/python

# Sets $$python to the first interpreter that is new enough and can make a venv. `make PYTHON=...` names one.
define find_python
python=; \
for candidate in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
	if $$candidate -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		python=$$candidate; break; \
	fi; \
done; \
if [ -z "$$python" ]; then \
	echo "catalogkit needs Python 3.11 or newer with its venv module; tried: $(or $(PYTHON),python3.13 python3.12 python3.11 python3)." >&2; \
	echo "On Debian and Ubuntu: apt-get install python3 python3-venv. Elsewhere: make PYTHON=/path/to/python3.12 ..." >&2; \
	exit 1; \
fi
endef

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

# Given as DIR=..., the folder reaches the shell as a variable, so spaces and quotes in it do no harm.
export DIR
demo: .venv/.installed ## Build a small catalog and walk through it; DIR=... catalogs a folder of yours
	@.venv/bin/catalogkit demo $${DIR:+"$$DIR"}

# A folder for whatever tests write, gone at the end: in memory where there is enough of it, because a disk costs more
# than all the rest. What a power cut takes is told by the tests' own disk; nothing here depends on a real one.
define in_scratch
set -e; \
scratch=$$(mktemp -d); \
if [ "$$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $$4 }')" -gt 4000000 ] 2>/dev/null \
	&& [ "$$(awk '/^MemAvailable/ { print $$2 }' /proc/meminfo)" -gt 8000000 ] \
	&& memory=$$(mktemp -d /dev/shm/catalogkit-XXXXXX 2>/dev/null); then \
	printf '#!/bin/sh\n' >"$$memory/try"; chmod +x "$$memory/try"; \
	if "$$memory/try" 2>/dev/null; then rmdir "$$scratch"; scratch=$$memory; else rm -r "$$memory"; fi; \
fi; \
trap 'rm -rf "$$scratch"' EXIT; trap 'exit 130' INT TERM; \
chmod 711 "$$scratch"; \
export CATALOGKIT_TEST_CACHE="$${TMPDIR:-/tmp}" TMPDIR="$$scratch"
endef

test: .venv/.installed lint programs ## Lint, then every test, then every notebook
	@$(in_scratch); set -x; \
	$(PY) -m pytest -q -n 2 --dist worksteal; \
	if find notebooks -name '*.ipynb' -not -path '*/.*' 2>/dev/null | grep -q .; then \
		$(PY) -m pytest -q -n 2 --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=120 notebooks; \
	fi

lint: .venv/.installed ## ruff check, ruff format --check, mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: .venv/.installed ## Run the benchmarks; ARGS=... is passed on
	$(PY) -m benchmarks $(ARGS)

stress: .venv/.installed ## The long race and crash tests, and every property at length; ARGS=... is passed on
	CATALOGKIT_DEEP=10 $(PY) -m pytest -n0 -m 'stress or hypothesis' --timeout=3600 $(ARGS)

export MINUTES SEED
soak: .venv/.installed ## Mixed load with faults, and a look at everything; MINUTES=60 SEED=...
	@$(PY) -m tests.stress.soak --minutes $${MINUTES:-60} $${SEED:+--seed "$$SEED"}

fuzz: .venv/.installed ## Every reader of words and documents, by coverage; ARGS="--seconds 60 --only settings"
	@# Not locked: there is a build of it for few systems, and nothing else wants it.
	@$(PY) -c 'import atheris' 2>/dev/null || $(PY) -m pip install -q 'atheris>=3'
	$(PY) -m tests.fuzz.guided $(ARGS)

lab: .venv/.installed ## Open the notebooks in JupyterLab; ARGS=... is passed on
	$(PY) -m jupyterlab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks $(ARGS)

# A demo of its own, so that nothing of whoever runs this is in it.
sample: .venv/.installed ## Make reports/sample anew: one report of the demo, as page and as JSON
	@set -e; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	XDG_CACHE_HOME="$$tmp" $(PY) -m catalogkit report storage_overview -p as_of=2026-11-01T00:00Z -o "$$tmp/out"; \
	mkdir -p reports/sample; \
	for kind in html json; do cp "$$tmp"/out/storage_overview/*.$$kind reports/sample/storage_overview.$$kind; done

lock: ## Pin all dependencies in requirements.lock; UPGRADE=1 also raises the pinned versions
	@set -e; uv=uv; \
	if ! uv --version >/dev/null 2>&1; then \
		$(find_python); \
		tool=$$(mktemp -d); trap 'rm -rf "$$tool"' EXIT; \
		$$python -m venv "$$tool"; "$$tool/bin/python" -m pip install -q uv; uv=$$tool/bin/uv; \
	fi; \
	"$$uv" pip compile --universal --python-version 3.11 --fork-strategy fewest --all-extras --group build \
		--generate-hashes --no-emit-index-url --custom-compile-command 'make lock' --quiet \
		$(if $(UPGRADE),--upgrade) --output-file requirements.lock pyproject.toml; \
	echo "requirements.lock: $$(grep -c '^[a-z]' requirements.lock) packages"

clean: ## Remove .venv, caches and build output; reports and catalogs stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage build dist
	find . \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

# One environment for everything, exactly as locked. The build backend is in the lock too, hence --no-build-isolation.
# uv is used when it is there and works, plain pip otherwise. Bytecode comes last: pip would compile file by file, compileall uses every core.
.venv/.installed: requirements.lock pyproject.toml
	@set -e; $(find_python); \
	$(PY) -c '' 2>/dev/null || $$python -m venv --clear .venv; \
	echo "Installing into .venv, once; this takes one to four minutes ..."; \
	if uv --version >/dev/null 2>&1 && uv pip install -q --python $(PY) --require-hashes -r requirements.lock; then :; else \
		$(PY) -m pip install -q --no-compile --no-deps --require-hashes -r requirements.lock; \
	fi; \
	$(PY) -m pip install -q --no-deps --no-build-isolation -e .; \
	$(PY) -m compileall -q -j0 .venv/lib >/dev/null 2>&1 || true; \
	$(PY) -m compileall -q catalogkit; \
	touch $@

# The browser tests need a Chromium, those of dedup jdupes to compare with, those of telemetry a Prometheus, those of
# Azure's containers Azurite, which npm fetches once, beside other caches. As root (or with sudo that asks nothing) on
# Debian they are installed; otherwise say so and stop. Debian starts a Prometheus for good when it installs one; nobody
# asked for that.
AZURITE := 3.37.0
programs:
	@wanted=; \
	command -v chromium || command -v chromium-browser || command -v google-chrome || wanted=chromium; \
	command -v jdupes || wanted="$$wanted jdupes"; \
	command -v prometheus || wanted="$$wanted prometheus"; \
	azurite="$${XDG_CACHE_HOME:-$$HOME/.cache}/catalogkit-tests/azurite-$(AZURITE)"; \
	[ -d "$$azurite" ] || command -v npm || wanted="$$wanted npm"; \
	root=; [ "$$(id -u)" = 0 ] || root="sudo -n"; \
	if [ -z "$$wanted" ]; then :; \
	elif command -v apt-get >/dev/null && $$root true 2>/dev/null; then \
		echo "Installing $$wanted for the tests ..."; \
		$$root apt-get -q update && $$root env DEBIAN_FRONTEND=noninteractive apt-get -qy --no-install-recommends install $$wanted || exit 1; \
		case "$$wanted" in *prometheus*) $$root systemctl disable --now prometheus 2>/dev/null || true;; esac; \
	else \
		echo "The tests need on PATH, and do not find: $$wanted (Chromium also as chromium-browser or google-chrome; Fedora has Prometheus as golang-github-prometheus)." >&2; \
		echo "Install them (Debian: apt-get install $$wanted; Fedora: dnf install $$wanted; macOS: brew install $$wanted) and run again." >&2; \
		exit 1; \
	fi; \
	if [ ! -d "$$azurite" ]; then \
		echo "Fetching Azurite for the tests, once ..."; \
		rm -rf "$$azurite.new"; mkdir -p "$$azurite.new"; \
		npm install --prefix "$$azurite.new" --silent --no-audit --no-fund --omit=optional --ignore-scripts \
			azurite@$(AZURITE) && mv "$$azurite.new" "$$azurite" || exit 1; \
	fi
