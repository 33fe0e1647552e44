#!/usr/bin/env bash
# check_aarch64.sh: builds the CPU's kernels and their tests for aarch64, and runs them under qemu-user. The rest needs
# libraries of that architecture.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly BUILD=build/aarch64 CXX=aarch64-linux-gnu-g++ GTEST=/usr/src/googletest/googletest

# Headers that are the same on every architecture, without the rest of /usr/include.
mkdir -p $BUILD/include $BUILD/lib
ln -sfn /usr/include/fmt $BUILD/include/fmt
ln -sfn /usr/include/gtest $BUILD/include/gtest
for part in gtest-all gtest_main; do
    [[ $BUILD/lib/$part.o -nt $GTEST/src/$part.cc ]] ||
        $CXX -O1 -isystem $BUILD/include -I$GTEST -c -o $BUILD/lib/$part.o $GTEST/src/$part.cc
done
ar rcs $BUILD/lib/libgtest.a $BUILD/lib/gtest-all.o
ar rcs $BUILD/lib/libgtest_main.a $BUILD/lib/gtest_main.o

make --no-print-directory "$@" BUILD=$BUILD TESTS=tests/test_kernels.cpp SUPPORT_SRCS= \
    SRCS='src/cpu/kernels.cpp src/cpu/f32/neon.cpp src/cpu/f32/portable.cpp src/model/tensor.cpp' \
    CXX="$CXX -isystem $BUILD/include -DFMT_HEADER_ONLY" LDLIBS="-L$BUILD/lib -lpthread" $BUILD/tests
qemu-aarch64 -L /usr/aarch64-linux-gnu $BUILD/tests
