#!/usr/bin/env bash
# What may not be in the programs: deny.toml states the same rules for those who have cargo-deny.
# Needs nothing but cargo; judges normal and build dependencies for every target platform.
set -euo pipefail
cd "$(dirname "$0")/.."

# Whatever speaks HTTP or TLS over a network, and object stores that would.
readonly CLIENTS="reqwest hyper hyper-util hyper-rustls hyper-tls h2 h3 isahc ureq curl curl-sys attohttpc minreq surf ehttp
    rustls native-tls openssl openssl-sys aws-lc-rs aws-lc-sys s2n-tls boring boring-sys mbedtls schannel security-framework
    quinn quinn-proto s2n-quic quiche tungstenite object_store opendal aws-config aws-sdk-s3 google-cloud-storage azure_core"
# The recorder runs beside a socket that sees everything: no runtime, and nothing of the analyzer.
readonly RUNTIMES="tokio mio async-std smol async-io async-executor monoio glommio futures-executor"
readonly ANALYZER_ONLY="rusqlite libsqlite3-sys polars polars-core psl jiff"
readonly LICENSES="MIT Apache-2.0 Apache-2.0_WITH_LLVM-exception BSD-2-Clause BSD-3-Clause BSL-1.0 ISC Zlib 0BSD Unlicense
    Unicode-3.0 CC0-1.0"

CARGO=${CARGO:-cargo}
failed=0

tree() { "$CARGO" tree --locked --quiet --target all --edges normal,build --prefix none "$@"; }

# ban PACKAGE WHY CRATES: none of CRATES is below PACKAGE.
ban() {
    local package=$1 why=$2 name crates
    crates=$(tree -p "$package" -f '{p}' | cut -d' ' -f1 | sort -u)
    for name in $3; do
        if grep -qx "$name" <<<"$crates"; then
            echo "error: $package depends on $name ($why)" >&2
            "$CARGO" tree --locked --quiet --target all --edges normal,build -p "$package" -i "$name" >&2 || true
            failed=1
        fi
    done
    echo "$package: $(wc -l <<<"$crates") crates (all platforms, itself included), none of: $why"
}

# Each licence expression must be satisfiable with the licences above: some alternative of which
# every part is allowed.
licences() {
    tree --workspace -f '{p}|{l}' | sed -n 's/ (\*)$//; /.|/p' | sort -u |
        awk -F'|' -v allowed="$LICENSES" '
            BEGIN { n = split(allowed, list, /[ \n]+/); for (i = 1; i <= n; i++) ok[list[i]] = 1 }
            {
                expression = $2
                gsub(/ WITH /, "_WITH_", expression); gsub(/\//, " OR ", expression)
                # (A OR B) AND C: every bracket is judged alone, then stands for its result.
                while (match(expression, /\([^()]*\)/)) {
                    inner = substr(expression, RSTART + 1, RLENGTH - 2)
                    expression = substr(expression, 1, RSTART - 1) (holds(inner) ? "MIT" : "NONE") \
                        substr(expression, RSTART + RLENGTH)
                }
                if (!holds(expression)) { print "error: licence of " $1 ": " ($2 == "" ? "none stated" : $2); bad = 1 }
            }
            function holds(text,    some, every, i, j, n, m, parts, words) {
                n = split(text, parts, / OR /); some = 0
                for (i = 1; i <= n; i++) {
                    m = split(parts[i], words, / AND /); every = 1
                    for (j = 1; j <= m; j++) { gsub(/ /, "", words[j]); if (!(words[j] in ok)) every = 0 }
                    if (every) some = 1
                }
                return some
            }
            END { exit bad }' >&2 || failed=1
    echo "licences: every dependency can be used under one of: $(echo $LICENSES)"
}

# Every crate of the recorder has its reason in docs/DEPENDENCIES.md, and every reason its crate.
reasons() {
    local page=docs/DEPENDENCIES.md linked written
    linked=$("$CARGO" tree --locked --quiet --target x86_64-unknown-linux-gnu --edges normal,build --prefix none \
        -p imon-record -f '{p}' | cut -d' ' -f1 | sort -u | grep -vx imon-record)
    written=$(sed -n 's/^| \(`[^|]*`\) |.*/\1/p' "$page" | tr -d '` ' | tr ',' '\n' | sort -u)
    if ! diff <(echo "$written") <(echo "$linked") >/dev/null; then
        echo "error: $page does not say what imon-record is made of" >&2
        diff <(echo "$written") <(echo "$linked") |
            sed -n 's/^< /  no longer linked: /p; s/^> /  without a reason:  /p' >&2
        failed=1
    fi
    echo "imon-record: $(wc -l <<<"$linked") crates on Linux, each with its reason in $page"
}

# Every crate of the recorder was looked at in the version that is linked, and docs/REVIEWS.md says
# what was found.
reviews() {
    local page=docs/REVIEWS.md linked reviewed
    linked=$("$CARGO" tree --locked --quiet --target x86_64-unknown-linux-gnu --edges normal,build --prefix none \
        -p imon-record -f '{p}' | awk '{ print $1, substr($2, 2) }' | grep -v '^imon-' | sort -u)
    # A line has crates and their versions in one order; one crate can have several versions.
    reviewed=$(awk -F'|' '/^\| `/ {
        gsub(/[` ]/, "", $2); gsub(/ /, "", $3)
        crates = split($2, crate, ","); versions = split($3, version, ",")
        for (i = 1; i <= versions; i++) print crate[crates == 1 ? 1 : i], version[i]
    }' "$page" | sort -u)
    if [ "$linked" != "$reviewed" ]; then
        echo "error: $page does not speak of what is linked" >&2
        diff <(echo "$reviewed") <(echo "$linked") | sed -n 's/^< /  no longer linked: /p; s/^> /  not reviewed:     /p' >&2
        failed=1
    fi
    echo "imon-record: $(wc -l <<<"$linked") crates in their versions, each with a review in $page"
}

# What shuts the programs in is in both of them, in one version.
walls() {
    local name record analyze
    for name in landlock seccompiler nix; do
        record=$(tree -p imon-record -f '{p}' | grep "^$name v" | cut -d' ' -f1,2 | sort -u)
        analyze=$(tree -p imon-analyze -f '{p}' | grep "^$name v" | cut -d' ' -f1,2 | sort -u)
        if [ -z "$record" ] || [ "$record" != "$analyze" ]; then
            echo "error: $name is not the same in both programs: ${record:-none} in imon-record, ${analyze:-none} in imon-analyze" >&2
            failed=1
        fi
    done
    echo "walls: landlock, seccompiler and nix are in both programs, each in one version"
}

# The same rules by the tool made for them, where somebody has it. Advisories need a network: make
# audit.
by_cargo_deny() {
    if ! "$CARGO" deny --version >/dev/null 2>&1; then
        echo "cargo-deny: not installed; bans, licences and sources were judged without it"
        return
    fi
    "$CARGO" deny --offline --locked check --hide-inclusion-graph bans licenses sources || failed=1
}

# Everything comes from crates.io, or is ours.
sources() {
    local other
    other=$(sed -n 's/^source = "\(.*\)"/\1/p' Cargo.lock | sort -u |
        sed '/^registry+https:\/\/github.com\/rust-lang\/crates.io-index$/d')
    if [ -n "$other" ]; then
        echo "error: crates from elsewhere than crates.io: $other" >&2
        failed=1
    fi
    echo "sources: crates.io"
}

ban imon-record "HTTP and TLS clients" "$CLIENTS"
ban imon-record "async runtimes" "$RUNTIMES"
ban imon-record "what belongs to the analyzer" "$ANALYZER_ONLY"
ban imon-analyze "HTTP and TLS clients" "$CLIENTS"
ban imon-analyze "live capture" "pcap"
licences
sources
reasons
reviews
walls
by_cargo_deny
exit "$failed"
