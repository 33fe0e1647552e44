#!/usr/bin/env bash
# compile.sh: compiles a kernel file for AMD devices with the flags of the program (flags.mk). In the project's folder:
#
#   compile.sh TARGET FILE.hip OUT.o [--asm OUT.s]     TARGET: gfx90a, gfx942, gfx1100, gfx1151, or amd for all in one
#
# --asm: the device code as the compiler comments it, to read; for one target only.
set -euo pipefail

die() {
    echo "compile.sh: $*" >&2
    exit 2
}

[[ $# == 3 || ($# == 5 && $4 == --asm) ]] || die "expected TARGET FILE.hip OUT.o [--asm OUT.s], found: $*"
target=$1 source=$2 object=$3 assembly=${5:-}
[[ -e tools/amd/flags.mk ]] || die "expected to be started from the project's folder"

# The command of the build, and what it needs. Variables of a make around this script are dropped.
flags=$(MAKEFLAGS='' make -s -f - "GPU=$target" show <<< 'include tools/amd/flags.mk
.PHONY: show
show: $(GPU_NEEDS)
	@echo $(GPU_CXX) $(GPU_CXXFLAGS)')
read -r compiler _ <<< "$flags"
case $compiler in
hipcc) packages=hipcc ;;
*) packages='clang-tools-19 and lld-19' ;;
esac
command -v "$compiler" > /dev/null || die "no $compiler; install Debian's $packages"
[[ -e /usr/include/hip/hip_runtime.h ]] || die "no hip/hip_runtime.h; install Debian's libamdhip64-dev"

mkdir -p "$(dirname "$object")"
# shellcheck disable=SC2086 # the flags are words
$flags -c -o "$object" "$source"
# shellcheck disable=SC2086 # hipcc adds what only a link needs
[[ ! $assembly ]] || $flags -Wno-unused-command-line-argument --cuda-device-only -S -o "$assembly" "$source"
