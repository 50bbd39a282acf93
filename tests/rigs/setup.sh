#!/bin/sh
# Sets up a machine for `make demo` and `make test`: Debian packages (where apt-get is at hand), then a virtual environment.
set -eu
venv=$1
here=$(dirname "$0")

if command -v apt-get >/dev/null; then
    missing=
    for package in $(sed 's/#.*//' "$here/packages.txt"); do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        as_root=
        [ "$(id -u)" = 0 ] || as_root=sudo
        echo "Installing Debian packages:$missing" >&2
        $as_root apt-get update -q >&2
        # shellcheck disable=SC2086 # one word a package
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >&2
    fi
else
    echo "Not a Debian system: the packages in $here/packages.txt have to be installed by hand." >&2
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed." >&2; exit 1; }
python3 -m venv "$venv"
"$venv/bin/python" -m pip install -q --upgrade 'pip>=25.1'
"$venv/bin/python" -m pip install -q --group dev -e .
