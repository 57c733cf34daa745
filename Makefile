# Two commands are enough: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .tools/bin/uv
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON := $(PYTHON)
export UV_NO_PROGRESS := 1

.PHONY: help demo test lint bench docs deb clean
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

demo: .venv/.base ## A kiosk, a broker and an operator's view on this machine; options in ARGS="..."
	@.venv/bin/kiosk-agent demo $(ARGS)

test: .venv/.dev ## All tests; options in ARGS="..."
	.venv/bin/pytest -n auto $(ARGS)

lint: .venv/.dev ## Style, types, import rules
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: .venv/.dev ## All benchmarks, as JSON
	.venv/bin/python -m bench telemetry --json
	.venv/bin/python -m bench camera --json
	.venv/bin/python -m bench commands --json
	.venv/bin/python -m bench plates --json
	.venv/bin/python -m bench identity --json
	.venv/bin/python -m bench fleet --json

docs: .venv/.base ## Write the generated pages anew
	.venv/bin/kiosk-agent asyncapi > docs/asyncapi.json.new && mv docs/asyncapi.json.new docs/asyncapi.json
	.venv/bin/kiosk-agent settings > docs/settings.md.new && mv docs/settings.md.new docs/settings.md
	.venv/bin/kiosk-agent actions > docs/actions.md.new && mv docs/actions.md.new docs/actions.md
	.venv/bin/kiosk-agent openapi > docs/openapi.json.new && mv docs/openapi.json.new docs/openapi.json

deb: ## The Debian package kiosk-agent, in dist/: docs/install.md
	deploy/debian/build dist

clean: ## Remove what setting up made
	rm -rf .venv .tools dist

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.base: $(UV) pyproject.toml uv.lock
	$(UV) sync --quiet --locked --no-dev --inexact
	@touch $@

.venv/.dev: $(UV) pyproject.toml uv.lock
	$(UV) sync --quiet --locked --inexact
	@touch .venv/.base $@
