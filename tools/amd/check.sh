#!/usr/bin/env bash
# check.sh: compiles every .hip file for every AMD target, prints what kernels cost and fails where isa_report.py does.
#
#   check.sh [-j JOBS]     JOBS compilers at once (default 2)
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

# The host's part is the same for every target. It is compiled with gfx90a's compiler and, for gfx942, with the other's.
status=0 objects=()
for target in gfx90a gfx942 gfx1100 gfx1151; do
    build=build device_only=''
    [[ $target != gfx11* ]] || build=build/device_only device_only=1
    made=()
    for file in src/kernels/*.hip src/gpu/*.hip; do
        made+=("$build/$target/obj/${file%.hip}.o")
    done
    echo "== $target" >&2
    make -s -k -j "$jobs" "BUILD=$build" "GPU=$target" "DEVICE_ONLY=$device_only" "${made[@]}" >&2 || status=1
    for object in "${made[@]}"; do
        [[ ! -e $object ]] || objects+=("$object")
    done
done
python3 tools/isa_report.py --check "${objects[@]}" || status=1
exit $status
