# Sourced by the other scripts: a virtual environment in .venv with jaxgen and the extras named, made once.
#   source scripts/setup.sh EXTRA[,EXTRA...]
venv=${JAXGEN_VENV:-.venv}
extras=$1
shift
constraint=(-c constraints/cpu.txt)
if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
  extras=$extras,cuda13
  constraint=()
fi
# what was installed is noted as a file named after the extras; it is out of date when the project's own list changes
stamp=$venv/installed-${extras//,/-}
if [ ! -x "$venv/bin/python" ]; then
  "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "jaxgen needs Python 3.11 or later; name one with PYTHON=python3.12 bash $0" >&2
    exit 2
  }
  "${PYTHON:-python3}" -m venv "$venv"
fi
if [ ! -f "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ constraints/cpu.txt -nt "$stamp" ]; then
  echo "installing jaxgen[$extras] into $venv (once)"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade pip
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${constraint[@]}" -e ".[$extras]"
  touch "$stamp"
fi
export PATH="$(cd "$venv" && pwd)/bin:$PATH"
