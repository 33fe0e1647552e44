#!/usr/bin/env bash
# assemble.sh: puts the page together, one HTML document, and prints it as the C++ source of page.h's functions; with
# --html the document itself. No tool is needed but a shell's usual ones.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# In the order in which they need each other. Their imports go, as they become one script.
SCRIPTS=(markdown api dom store settings files messages answer sidebar composer app)

# One script, without comments, indents and the space around operators.
script() {
    local name
    for name in "${SCRIPTS[@]}"; do
        sed -E '/^import /d; s/^export //; /^ *\/\//d; s/ \/\/ .*//; s/^ +//; /^$/d
            s/ ([<>=]=?|=>|===|!==|&&|\|\||\?|:) /\1/g; s/\) \{/){/g' "$name.mjs"
    done
}
style() { sed -E '/^\/\*.*\*\/$/d; s/^ +//; s/([:;,{]) /\1/g; s/;? *\}/}/g; s/ \{/{/; /^$/d' style.css | tr -d '\n'; }

# The name by which a policy allows a text: "sha256-" and base64.
hash() { printf "'sha256-%s'" "$(printf "$(sha256sum | sed -E 's/ .*//; s/../\\x&/g')" | base64)"; }

document() {
    local html
    html=$(sed -E '/^<!-- index.html/d; s/^ +//' index.html)
    html=${html/@STYLE@/"$STYLE"}
    printf '%s\n' "${html/@SCRIPT@/"$SCRIPT"}"
}

STYLE=$'\n'$(style)$'\n' SCRIPT=$'\n'$(script)$'\n'
POLICY="default-src 'none'; script-src $(printf '%s' "$SCRIPT" | hash); style-src $(printf '%s' "$STYLE" | hash); "
POLICY+="connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
POLICY+="require-trusted-types-for 'script'; trusted-types 'none'"

case ${1:-} in
--html) document ;;
--policy) echo "$POLICY" ;;
*)
    printf '// page.cpp: src/serve/page/, put together by its assemble.sh.\n#include "serve/page.h"\n\n'
    printf 'std::string_view page() {\n    return R"page(%s\n)page";\n}\n\n' "$(document)"
    printf 'std::vector<std::pair<std::string, std::string>> page_headers() {\n'
    printf '    return {{"Content-Security-Policy", R"page(%s)page"},\n' "$POLICY"
    printf '            {"X-Content-Type-Options", "nosniff"}, {"Referrer-Policy", "no-referrer"},\n'
    printf '            {"Cache-Control", "no-cache"}};\n}\n'
    ;;
esac
