#!/usr/bin/env bash
# The Debian package: what `make install` would install, in a tree of its own, packed by cargo-deb.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly BUILT=${TARGET_DIR:-target}/release

if ! cargo deb --version >/dev/null 2>&1; then
    echo "error: cargo-deb is missing" >&2
    echo "  hint:  cargo install --locked cargo-deb" >&2
    exit 1
fi
rm -rf "$BUILT/deb-root"
DESTDIR=$(cd "$BUILT" && pwd)/deb-root PREFIX=/usr ZSH_COMPLETIONS=/usr/share/zsh/vendor-completions scripts/install.sh install
# Who packs is who maintains: nobody is named in the repository.
cargo deb --locked --no-build --maintainer "${DEBFULLNAME:-$(id -un)} <${DEBEMAIL:-$(id -un)@localhost}>" -p imon-analyze
