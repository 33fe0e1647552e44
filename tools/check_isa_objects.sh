#!/usr/bin/env bash
# check_isa_objects.sh: fails when an object compiled for one instruction set holds code that any CPU may run: a static
# initializer, which runs at every start, or a function of which the linker keeps one copy for all files.
#
#   check_isa_objects.sh FOLDER    the folder of src/cpu's objects
set -euo pipefail

bad=0 seen=0
for object in "$1"/{f32,packed}/{avx,amx}*.o; do
    [[ -e $object ]] || continue
    seen=$((seen + 1))
    if shared=$(nm --demangle "$object" | grep -E '^[0-9a-f]+ ([WVu] |t _GLOBAL__)'); then
        echo "$object: expected nothing that runs without its instruction set, found:"
        echo "$shared"
        bad=1
    fi
done
((seen > 0)) || { echo "$1: expected objects of instruction sets, found none" && exit 1; }
exit "$bad"
