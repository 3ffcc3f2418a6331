#!/usr/bin/env bash
# The tests: bash scripts/test.sh [--slow] [arguments of pytest]. --slow adds the documented sizes and the newest JAX.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh test
marks=(-m "not slow")
if [ "${1:-}" = --slow ]; then
  shift
  marks=(-m "slow or not slow")
fi
ruff check .
ruff format --check .
mypy jaxgen
python -m pytest -v "${marks[@]}" "$@"
