#!/usr/bin/env bash
# The Debian package: what `make install` would install, in a tree of its own, packed by dpkg-deb.
# The same commit gives the same bytes: times are the commit's (or $SOURCE_DATE_EPOCH), owners are
# root, order and compression are fixed.
#   deb.sh pack OUT_DIR     packs; names the package on standard output
#   deb.sh make             packs into TARGET/debian, packs once more and compares, and asks lintian where it is installed
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C

readonly TARGET=${TARGET_DIR:-${CARGO_TARGET_DIR:-target}}
readonly DOC=usr/share/doc/imon

fail() { echo "error: $1" >&2; echo "  hint:  $2" >&2; exit 1; }
for tool in dpkg-deb dpkg-shlibdeps strip; do
    command -v "$tool" >/dev/null || fail "$tool is missing" "apt-get install dpkg-dev binutils (on Debian and its relatives)"
done
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
fi
export SOURCE_DATE_EPOCH
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n1)
# Who packs is who maintains: nobody is named in the repository.
MAINTAINER="${DEBFULLNAME:-$(id -un)} <${DEBEMAIL:-$(id -un)@localhost.localdomain}>"
# What lintian must not judge where nobody said who packs.
unnamed=
[ -n "${DEBEMAIL:-}" ] || unnamed=bogus-mail-host,bogus-mail-host-in-debian-changelog,root-in-contact,mail-address-loops-or-bounces
ARCHITECTURE=$(dpkg --print-architecture)
readonly VERSION MAINTAINER ARCHITECTURE

# Libraries that the programs need, with versions, by what is installed here.
libraries() {
    local work=$1/shlibdeps
    mkdir -p "$work/debian"
    printf 'Source: imon\n\nPackage: imon\nArchitecture: any\n' >"$work/debian/control"
    (cd "$work" && dpkg-shlibdeps -O -e"$1/root/usr/bin/imon-record" -e"$1/root/usr/bin/imon-analyze") |
        sed -n 's/^shlibs:Depends=//p'
}

documents() {
    local doc=$1/$DOC licence
    mkdir -p "$doc"
    # The blank lines of a licence are dots in this format, its lines indented.
    licence=$(sed 's/^$/./; s/^/ /' LICENSE-MIT | sed -e :a -e '/^\( \.\n*\)*$/{$d;N;ba' -e '}')
    while IFS= read -r line; do
        if [ "$line" = @MIT@ ]; then printf '%s\n' "$licence"; else printf '%s\n' "$line"; fi
    done <packaging/deb/copyright >"$doc/copyright"
    {
        echo "imon ($VERSION) unstable; urgency=medium"
        printf '\n  * NEWS.gz beside this file says what the version brings.\n\n'
        echo " -- $MAINTAINER  $(date -u -R -d "@$SOURCE_DATE_EPOCH")"
    } | gzip -9n >"$doc/changelog.gz"
    gzip -9nc CHANGELOG.md >"$doc/NEWS.gz"
    install -D -m 644 packaging/deb/lintian-overrides "$1/usr/share/lintian/overrides/imon"
    local program
    for program in imon-record imon-analyze; do
        scripts/sbom.py "$program" | gzip -9n >"$doc/sbom-$program.cdx.json.gz"
    done
}

# pack OUT: the tree, its control files, the package.
pack() {
    local out=$1 work root size
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # now
    trap "rm -rf '$work'" EXIT
    root=$work/root
    DESTDIR=$root PREFIX=/usr ZSH_COMPLETIONS=/usr/share/zsh/vendor-completions scripts/install.sh install
    strip --strip-all "$root"/usr/bin/*
    gzip -9n "$root"/usr/share/man/man1/*
    documents "$root"
    mkdir "$root/DEBIAN"
    install -m 755 packaging/debian/* "$root/DEBIAN/"
    size=$(find "$root" -path "$root/DEBIAN" -prune -o -type f -printf '%s\n' | awk '{ sum += int(($1 + 1023) / 1024) } END { print sum }')
    sed -e "s|@VERSION@|$VERSION|; s|@ARCHITECTURE@|$ARCHITECTURE|; s|@MAINTAINER@|$MAINTAINER|; s|@SIZE@|$size|" \
        -e "s|@LIBRARIES@|$(libraries "$work")|" packaging/deb/control.in >"$root/DEBIAN/control"
    (cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    mkdir -p "$out"
    # One thread: blocks of several may be cut elsewhere.
    DPKG_DEB_THREADS_MAX=1 dpkg-deb --root-owner-group -Zxz --build "$root" "$out" >&2
    echo "$out/imon_${VERSION}_$ARCHITECTURE.deb"
}

make() {
    local first second
    first=$(scripts/deb.sh pack "$TARGET/debian")
    # Another time of day, zone and umask, another folder.
    second=$( (umask 077 && TZ=Pacific/Auckland TMPDIR=$(mktemp -d) scripts/deb.sh pack "$TARGET/debian/again"))
    cmp "$first" "$second" || fail "packing twice gave different packages: $first $second" "diffoscope shows where"
    rm -r "$TARGET/debian/again"
    echo "packed twice, to the same bytes: $(sha256sum "$first" | cut -d' ' -f1)"
    if command -v lintian >/dev/null; then
        lintian --allow-root --fail-on error,warning --tag-display-limit 0 ${unnamed:+--suppress-tags "$unnamed"} "$first" ||
            fail "lintian is not content" "see above"
        echo "lintian: nothing to say${unnamed:+ (the maintainer, which \$DEBFULLNAME and \$DEBEMAIL name, was not judged)}"
    else
        echo "lintian is not installed: the package was not judged"
    fi
    echo "$first"
}

case ${1:-} in
pack) pack "${2:?OUT_DIR}" ;;
make) make ;;
*) echo "usage: $0 make | pack OUT_DIR" >&2; exit 2 ;;
esac
