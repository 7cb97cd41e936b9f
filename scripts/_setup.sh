# shellcheck shell=bash
# Sourced by scripts/demo and scripts/test: makes .venv in the checkout and installs the package into it, once.
#
#   PYTHON             the interpreter to make .venv with (default: python3)
#   BIREFVIDEO_TORCH   what to ask pip for as torch, e.g. "torch" for the newest (default: the pin in constraints.txt).
#
# On Linux, pip's usual torch is the CUDA build, several gigabytes. For the small build without CUDA, or one for
# another CUDA, give pip PyTorch's own index (their install page lists them) in pip's variable PIP_EXTRA_INDEX_URL and
# name the build, e.g. BIREFVIDEO_TORCH="torch==2.13.0+cpu".

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv

fail() {
    echo "$(basename "$0"): $1" >&2
    exit 1
}

# pip_install ARGUMENT...: pip of .venv, with no output but errors; Python compiles what it imports, which is far from all.
pip_install() {
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-compile "$@"
}

# make_venv: make .venv if there is none that works, or PYTHON names another interpreter than it was made with.
make_venv() {
    local python=${PYTHON:-python3}
    if [[ -x $venv/bin/pip && (-z ${PYTHON:-} || $PYTHON == "$(cat "$venv/made-with" 2>/dev/null)") ]]; then
        return
    fi
    command -v "$python" >/dev/null || fail "$python was not found: install Python 3.10 or newer, or set PYTHON to it"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "$("$python" --version 2>&1) is too old: birefvideo needs Python 3.10 or newer; set PYTHON to one"
    "$python" -m venv --clear "$venv" >&2 ||
        fail "could not make $venv: see above; on Debian and Ubuntu install python3-venv"
    echo "$python" >"$venv/made-with"
}

# install_package [EXTRA]: install the package, and its extra EXTRA, into .venv; without pip if nothing has changed.
install_package() {
    local extra=${1:-} constraints=$root/scripts/constraints.txt torch stamp wanted
    torch=${BIREFVIDEO_TORCH:-$(grep '^torch==' "$constraints")}
    make_venv
    stamp=$venv/installed${extra:+-$extra}
    wanted=$(printf '%s\n' "$root" "$torch" | cat - "$root/pyproject.toml" "$constraints" | cksum)
    if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then
        return
    fi

    # torch first and alone: its build is settled before another package can ask for one.
    grep -v '^torch==' "$constraints" >"$venv/constraints.txt"
    echo "Setting up $venv, once: $torch, which is large ..."
    if [[ $(uname -sm) == "Linux x86_64" && -z ${BIREFVIDEO_TORCH:-} ]] && ! command -v nvidia-smi >/dev/null; then
        echo "(No NVIDIA GPU was found: for the smaller build without CUDA see \"Choosing torch\" in the README.)"
    fi
    pip_install "$torch"
    "$venv/bin/python" -c 'import importlib.metadata as m; print("torch==" + m.version("torch"))' >>"$venv/constraints.txt"
    echo "... and the rest ..."
    (cd "$root" && pip_install -c "$venv/constraints.txt" -e ".${extra:+[$extra]}")
    echo "$wanted" >"$stamp"
}
