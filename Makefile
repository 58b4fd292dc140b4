# SPDX-License-Identifier: MIT
# Every target may be the first one typed: each sets up what it needs, once.

.PHONY: help setup demo test check bench format clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## system packages (as root), .venv, the build
	@tools/setup

demo: setup ## C functions from Python beside what one would use instead; writes demo.png
	@.venv/bin/headway demo --output demo.png

test: ## the whole test suite, sanitizers and other interpreters included
	@tools/setup test
	@tools/test

check: setup ## ruff, mypy, clang-format, clang-tidy, codespell, the room rule
	@tools/check

bench: setup ## the figures of docs/performance.md
	@tools/bench

format: setup ## rewrite sources as `make check` wants them
	@tools/check --fix

clean: ## remove what the build made; .venv stays
	@rm -rf build* demo.png dist
