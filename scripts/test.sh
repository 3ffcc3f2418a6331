#!/usr/bin/env bash
# The tests: bash scripts/test.sh [--slow] [arguments of pytest]. --slow adds the documented sizes and the newest JAX.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh test
slow=false
if [ "${1:-}" = --slow ]; then
  shift
  slow=true
fi
ruff check .
ruff format --check .
mypy jaxgen
# a process a core; what is measured in time and memory runs alone
python -m pytest -v -n auto --maxprocesses 4 --dist worksteal -m "not slow" "$@"
if $slow; then
  python -m pytest -v -m slow "$@"
fi
