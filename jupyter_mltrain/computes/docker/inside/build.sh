#!/bin/sh
# Makes an environment in a container: build.sh TO PYTHON LINK_MODE UV_VERSION PYTHONS [FLAG...]
# Variables for uv come by standard input, one a line, up to the line "go": no `docker inspect` and no image shows them.
# Exit codes: 64 no variables came, 65 uv does not start here, 66 no Python, 67 what was installed does not work, 68 the
# image lacks what compiling a package needs.
set -eu
umask 022
while :; do
  IFS= read -r line || exit 64
  [ "$line" != go ] || break
  export "$line"
done
# One stream: of two an engine does not keep the order.
exec </dev/null 2>&1
# Who told us waits for a word.
echo "@alive"
here=/mltrain-build
volume=/mltrain/environments
to=$1 python=$2 link=$3 version=$4 pythons=$5
shift 5
# A stream that says nothing for long counts as lost.
(while sleep 4; do echo "@alive"; done) &

uv=$volume/uv/$version/uv
if [ ! -x "$uv" ]; then
  mkdir -p "$volume/uv/$version"
  new=$(mktemp "$volume/uv/$version/XXXXXX")
  cp "$here/uv" "$new"
  chmod 755 "$new"
  mv -f "$new" "$uv"
fi
rm -f "$here/uv"
"$uv" --version >/dev/null 2>&1 || exit 65

export UV_CACHE_DIR="$volume/cache" UV_PYTHON_INSTALL_DIR="$pythons" UV_PYTHON_DOWNLOADS=automatic
export UV_NO_CONFIG=1 NO_COLOR=1 HOME="$here"
[ ! -s "$here/ca.pem" ] || export SSL_CERT_FILE="$here/ca.pem"
rm -rf "$to"
mkdir -p "${to%/*}"
cd "$here"
if [ -s conda.lock ]; then
  # What installs conda packages is a tool of its own beside uv, and no part of any environment.
  tool=$volume/tools/$(cat conda.tool)
  if [ ! -x "$tool/bin/python" ]; then
    mkdir -p "$volume/tools"
    new=$(mktemp -d "$volume/tools/XXXXXX")
    "$uv" venv --quiet --no-project --clear --python-preference system --python '>=3.10' "$new" || exit 66
    "$uv" pip install --quiet --python "$new/bin/python" "$@" "$(cat conda.tool)"
    # Of two who make it at once, one is taken.
    mv -T "$new" "$tool" || rm -rf "$new"
  fi
  "$tool/bin/python" -I -B conda.py conda.lock "$to" "$volume/cache-of-conda"
  "$uv" pip install --no-deps --requirement lock.txt --python "$to/bin/python" --link-mode "$link" "$@"
  # Runs find it read-only. What does not compile was not meant to.
  "$to/bin/python" -m compileall -q "$to"/lib/python*/site-packages >/dev/null || true
else
  "$uv" venv --quiet --no-project --python-preference system --python "$python" "$to" || exit 66
  "$uv" pip sync lock.txt --allow-empty-requirements --python "$to/bin/python" --compile-bytecode --link-mode "$link" "$@"
  [ ! -s compiled.json ] || "$to/bin/python" -B compiling.py "$uv" "$to" "$link" "$@"
fi
for module in "$here"/modules/*; do
  [ ! -e "$module" ] || cp "$module" "$to"/lib/python*/site-packages/
done
unset SSL_CERT_FILE
"$to/bin/python" -B "$here/check.py" "$to" "$here/wanted.json" || exit 67
# An image that is made of this container has nothing of its making.
exec rm -rf "$here"
