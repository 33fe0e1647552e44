#!/usr/bin/env bash
# device_libs.sh: makes the folder of device libraries from which clang-19 compiles for AMD targets newer than Debian's.
#
#   device_libs.sh DIR     Debian's amdgcn/bitcode/*.bc as links, and what is missing there
#
# A target's own part of these libraries is one number, in oclc_isa_version_<target>.bc; all else is common to all.
set -euo pipefail

# What Debian 12 (ROCm 5.2) does not have: target and its number, 1000 · major + 100 · minor + stepping.
MISSING_TARGETS=(942:9402 1100:11000 1151:11501)

die() {
    echo "device_libs.sh: $*" >&2
    exit 2
}

[[ $# == 1 ]] || die "expected one folder, found $# arguments"
for tool in llvm-dis-19 llvm-as-19; do
    command -v "$tool" > /dev/null || die "no $tool; install Debian's llvm-19"
done
for libraries in /usr/lib/*/amdgcn/bitcode /usr/lib/amdgcn/bitcode /nowhere; do
    [[ ! -e $libraries/ockl.bc ]] || break
done
[[ $libraries != /nowhere ]] || die "no amdgcn/bitcode in /usr/lib; install Debian's rocm-device-libs"

# Two compilations may ask for it at once: every file appears whole, and none that is there is touched.
mkdir -p "$1"
for file in "$libraries"/*.bc; do
    [[ -e $1/${file##*/} ]] || ln -sf "$file" "$1"
done
for target in "${MISSING_TARGETS[@]}"; do
    file=$1/oclc_isa_version_${target%%:*}.bc
    [[ ! -e $file ]] || continue
    # Starts from gfx90a's file and changes the number, so that data layout and linkage are right.
    llvm-dis-19 -o - "$libraries/oclc_isa_version_90a.bc" |
        sed "s/^\(@__oclc_ISA_version = .*\) i32 9010,/\1 i32 ${target#*:},/" > "$file.$$.ll"
    grep -q "i32 ${target#*:}," "$file.$$.ll" || die "oclc_isa_version_90a.bc: expected the number 9010"
    llvm-as-19 -o "$file.$$" "$file.$$.ll"
    mv -f "$file.$$" "$file"
    rm "$file.$$.ll"
done
