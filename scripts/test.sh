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
spread="-n auto --maxprocesses 4 --dist worksteal" # a process a core
# LLVM in a hurry: the nets are small, and to compile them takes longest. What is slow is compiled as for users.
XLA_FLAGS="--xla_backend_optimization_level=1 ${XLA_FLAGS:-}" python -m pytest -v $spread -m "not slow" "$@"
if $slow; then
  python -m pytest -v $spread -m "slow and not alone" "$@"
  python -m pytest -v -m "slow and alone" "$@"
fi
