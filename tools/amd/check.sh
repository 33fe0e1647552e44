#!/usr/bin/env bash
# check.sh: compiles every kernel for every AMD target, prints what each costs and fails on what isa_report.py --check names.
#
#   check.sh [-j JOBS]     JOBS compilers at once (default 2). What has not changed since is not compiled again.
#
# Needs no GPU. Debian packages: hipcc libamdhip64-dev rocm-device-libs clang-tools-19 lld-19 llvm-19 make python3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

jobs=2
if [[ $# == 2 && $1 == -j ]]; then
    jobs=$2
elif (($#)); then
    echo "check.sh: expected nothing or -j JOBS, found: $*" >&2
    exit 2
fi

status=0
make -s -k -j "$jobs" -f tools/amd/check.mk || status=1
mapfile -t objects < <(make -s -f tools/amd/check.mk print)
python3 tools/isa_report.py --check "${objects[@]}" || status=1
exit $status
