# tests.sh: every test, their count, and where the time went; fuzzing. Read by run.sh.

PASSED=0 FAILED=0 CHOSEN=0 # of GoogleTests, how many were to run
STAGE='' STAGE_START=0 TIMES=()

# stage NAME [MORE]: says what begins, and notes how long the stage before it took.
stage() {
    [[ -z $STAGE ]] || TIMES+=("$(printf '%6d s  %s' $((SECONDS - STAGE_START)) "$STAGE")")
    STAGE=$1 STAGE_START=$SECONDS
    [[ -z $STAGE ]] || say "$*"
}

# finish_tests: where the time went, then the count and with it the exit code.
finish_tests() {
    stage ''
    say "where the time went"
    printf '%s\n' "${TIMES[@]}" >&2
    printf '%6d s  in all\n' "$SECONDS" >&2
    echo "$PASSED passed, $FAILED failed"
    ((FAILED == 0))
}

# check NAME COMMAND...: one test that is a command; shows what it printed only if it failed.
check() {
    local name=$1 log
    log=$LOGS/$(tr -c 'a-z0-9\n' _ <<< "$name")
    if "${@:2}" &> "$log"; then
        PASSED=$((PASSED + 1)) && echo "ok      $name" >&2
    else
        FAILED=$((FAILED + 1)) && echo "FAILED  $name" >&2
        cat "$log" >&2
    fi
}

# beside COMMAND...: runs it, and the checks in it, beside what follows; finish_beside waits for it, shows what it said
# and counts. For what mostly waits. Not beside run_gtest, which fills the cores itself.
beside() {
    rm -f "$LOGS/beside.counts"
    set -m  # a process group of its own, which Ctrl-C does not reach but the trap does
    {
        PASSED=0 FAILED=0
        "$@" || FAILED=$((FAILED + 1))
        echo "$PASSED $FAILED" > "$LOGS/beside.counts"
    } &> "$LOGS/beside" &
    BESIDE=$!
    set +m
    trap 'kill -- "-$BESIDE" 2> /dev/null; wait' EXIT
}

finish_beside() {
    local passed=0 failed=1
    wait
    trap - EXIT
    cat "$LOGS/beside" >&2
    [[ ! -e $LOGS/beside.counts ]] || read -r passed failed < "$LOGS/beside.counts"
    PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed))
}

# Reads the output of a GoogleTest process; shows failed tests with what they printed, then "passed failed skipped
# chosen" on stdout. If the process died, the test in which it died has failed.
count_tests() {
    awk '
        /\[ RUN      \]/ { block = "" }
        { block = block $0 "\n" }
        /\[       OK \]/ { passed++; block = "" }
        /\[  SKIPPED \].* ms\)$/ { skipped++; printf "%s", block > "/dev/stderr"; block = "" }
        /\[  FAILED  \].* ms\)$/ { failed++; printf "%s", block > "/dev/stderr"; block = "" }
        /^\[==========\] Running / { chosen = $3 }
        /^\[==========\] .* ran\./ || /^time is over/ { finished = 1; block = "" }
        END {
            if (!finished) {
                failed++
                printf "%sthe test process died here; the tests after it did not run\n", block > "/dev/stderr"
            }
            print passed + 0, failed + 0, skipped + 0, chosen + 0
        }' "$1"
}

# GCC aligns AVX-512 variables too little where AddressSanitizer keeps them beyond their function (its bug 110027).
export ASAN_OPTIONS=detect_stack_use_after_return=0
export LSAN_OPTIONS=suppressions=$ROOT/tests/leaks_of_others.txt:print_suppressions=0

# run_gtest PROGRAM [FLAGS]: all its GoogleTests, in processes of one thread, one on each core at a time. There are
# several shares for each core, so that cores end at about the same time; one in all with JOBS=1.
run_gtest() {
    local i n_shards=$((JOBS > 1 ? 4 * JOBS : 1)) passed failed skipped chosen all_skipped=0
    for ((i = 0; i < n_shards; i++)); do
        ((i < JOBS)) || wait -n || true
        GTEST_TOTAL_SHARDS=$n_shards GTEST_SHARD_INDEX=$i OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive \
            "$@" --gtest_color=no &> "$LOGS/tests.$i" &
    done
    wait
    for ((i = 0; i < n_shards; i++)); do
        read -r passed failed skipped chosen < <(count_tests "$LOGS/tests.$i")
        PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) CHOSEN=$((CHOSEN + chosen))
        all_skipped=$((all_skipped + skipped))
    done
    ((all_skipped == 0)) || say "$all_skipped tests skipped, see above"
}

# run_gpu_tests MODE BUILD: kernels, and the whole model on them, on the CPU with each layout of matrix cores. Kernels
# run in two orders of lanes and blocks at once, of which the first is the usual one: that finds races (EMU_ORDER,
# tests/emu/hip_runtime.h). With the first layout the demo's text is written in full, and by every number of devices;
# with the others in part, and by a chain of three: what differs between layouts are the kernels.
run_gpu_tests() {
    local gpu left_out='GpuDemo.WritesPartOfTheGoldenText:GpuChainOfThree*'
    [[ $1 == default ]] || left_out='GpuDemo*'
    for gpu in emulate-cdna emulate-rdna3 emulate-sm80; do
        stage "kernels, $gpu: build"
        if ! make -j"$JOBS" MODE="$1" BUILD="$2" GPU=$gpu gpu-tests >&2; then
            FAILED=$((FAILED + 1))
            continue
        fi
        stage "kernels, $gpu: the whole model"
        run_gtest "$2/$gpu/gpu_tests" --gtest_filter="Gpu*:*/Gpu*:Emulator*:*/Emulator*:-$left_out"
        stage "kernels, $gpu: one by one"
        EMU_ORDER=check run_gtest "$2/$gpu/gpu_tests" --gtest_filter='-Gpu*:*/Gpu*:Emulator*:*/Emulator*'
        if [[ $gpu == emulate-sm80 ]]; then # a device without instructions of wave groups
            EMU_GROUPS=0 run_gtest "$2/$gpu/gpu_tests" --gtest_filter='*Gemm*:*Qkv*:*NormProduct*'
        fi
        [[ $1 != default ]] || left_out='GpuDemo.WritesTheGoldenText:GpuTrainedModel*:GpuChain.*'
    done
}

# quick_target: make's GPU= for the quick tests: gpu_target's, else the emulation nearest to $GPU_ARCH.
quick_target() {
    local gpu
    if [[ -z ${GPU:-} ]]; then
        case ${GPU_ARCH:-} in
        gfx9*) [[ -e /dev/kfd ]] || { echo emulate-cdna && return; } ;;
        gfx1*) [[ -e /dev/kfd ]] || { echo emulate-rdna3 && return; } ;;
        sm_*) nvidia-smi &> /dev/null || { echo emulate-sm80 && return; } ;;
        esac
    fi
    gpu=$(gpu_target)
    echo "${gpu:-emulate-cdna}"
}

# run_quick_tests [-t SECONDS]: the tests of single kernels. On a real device in one process.
run_quick_tests() {
    local seconds gpu
    seconds=$(seconds_of "test --quick" 30 "$@")
    gpu=$(quick_target)
    need "${NEEDED_TO_BUILD[@]}" "${NEEDED_TO_TEST_KERNELS[@]}"
    cd "$ROOT"
    mkdir -p "$LOGS"
    say "kernels: building their tests for $gpu (the first time 2 to 5 minutes on 2 cores)"
    make -j"$JOBS" "GPU=$gpu" gpu-tests >&2
    [[ $gpu == emulate-* ]] || JOBS=1
    GPU_TESTS_SECONDS=$seconds run_gtest "build/$gpu/gpu_tests" \
        --gtest_filter='-Gpu*:*/Gpu*:Emulator*:*/Emulator*'
    say "$((PASSED + FAILED)) of $CHOSEN tests ran on $gpu"
    echo "$PASSED passed, $FAILED failed"
    ((FAILED == 0 && PASSED > 0))
}

# run_all_tests MODE BUILD
run_all_tests() {
    local mode=$1 build=$2
    need "${NEEDED_TO_BUILD[@]}" "${NEEDED_TO_TEST[@]}"
    check "include rules: the checker itself" python3 tools/check_includes.py --self-test
    check "style: the checker itself" python3 tools/check_style.py --self-test
    check "include rules, style, format" make check
    check "Markdown of the web page" node --test tests/page/test_markdown.mjs
    check "what kernels cost: the reader of code objects itself" python3 tools/isa_report.py --self-test
    stage "build" "(the first time 6 to 8 minutes on 2 cores; beside it, npm installs peers)"
    beside check "what other tokenizers say; clients of the server" make peers
    make -j"$JOBS" MODE="$mode" BUILD="$build" GPU= tests >&2 || {
        finish_beside
        echo "$PASSED passed, $((FAILED + 1)) failed"
        exit 1
    }
    finish_beside
    check "rates of getp: the script that measures them" \
        tools/measure_getp.py demo --run "$build/run" --scale 256 --runs 1
    if [[ $mode == default && $(uname -m) == x86_64 ]]; then
        stage "other CPUs, emulated"
        need "${NEEDED_FOR_OTHER_CPUS[@]}"
        check "objects of single instruction sets" tools/check_isa_objects.sh "$build/obj/src/cpu"
        check "an answer on a CPU without AVX" bash -c \
            "[[ \$(qemu-x86_64 -cpu Westmere $build/run -i 'What is 347 + 586?') == '347 + 586 = 933' ]]"
        check "kernels for aarch64" tools/check_aarch64.sh -j "$JOBS"
    fi
    stage "tests of the CPU"
    run_gtest "$build/tests"
    run_gpu_tests "$mode" "$build"
    if [[ $mode == default ]]; then
        stage "many requests" "(half a minute)"
        OMP_NUM_THREADS=1 check "20,000 requests in one process: memory, descriptors, threads" \
            tests/load/load.py "$build/run" demo -n 20000
    fi
    [[ $mode != default ]] || check "functions that no other file calls" python3 tools/check_style.py --exports "$build"
    if [[ $mode == default ]]; then
        run_last_tests "$build"
    fi
}

# run_last_tests BUILD: jobs under Slurm mostly wait, so kernels are compiled beside them.
run_last_tests() {
    stage "kernels compiled for four AMD devices; beside them, for root, jobs under a real Slurm" "(3 to 4 minutes)"
    ((EUID != 0)) || need "${NEEDED_FOR_SLURM[@]}"
    [[ $(uname -m) != x86_64 ]] || need "${NEEDED_FOR_AMD[@]}"
    ((EUID != 0)) || beside run_slurm_test "$1"
    if [[ $(uname -m) == x86_64 ]]; then  # nice: Slurm takes a node that does not answer in time for lost
        check "kernels for AMD devices: no spills, matrix instructions where they belong" \
            nice tools/amd/check.sh -j "$JOBS"
    fi
    ((EUID != 0)) || finish_beside
}

# run_ci_checks: another compiler, and the CPU's tests under the sanitizers.
run_ci_checks() {
    stage "clang" "(2 to 4 minutes on 2 cores)"
    need "${NEEDED_FOR_CI[@]}"
    check "clang 19 finds nothing in the host's code" make -k -j"$JOBS" CXX=clang++-19 CXXFLAGS=-fsyntax-only \
        BUILD=build/clang objects
    stage "build with sanitizers" "(the first time about 8 minutes on 2 cores)"
    if make -j"$JOBS" MODE=asan BUILD=build/asan GPU= tests >&2; then
        stage "tests of the CPU with sanitizers"
        run_gtest build/asan/tests
    else
        FAILED=$((FAILED + 1))
    fi
}

# run_slurm_test BUILD: getp on four nodes of a real Slurm, all on this machine.
run_slurm_test() {
    PATH=$PATH:/usr/sbin check "four ranks under Slurm write what one process does" \
        tests/slurm/test_slurm.sh "$1/run" demo
}
# run_slurm_examples BUILD: depends on how fast jobs are; only test --slurm runs it.
run_slurm_examples() {
    PATH=$PATH:/usr/sbin check "the batch scripts of examples/slurm go on after what stops them" \
        tests/slurm/test_examples.sh "$1/run" demo
}

# run_page_tests: the web page in a headless browser. Not part of all tests: Chromium is 400 MB, and Ubuntu has it only
# as a snap, which no container runs.
run_page_tests() {
    local part
    need "${NEEDED_TO_BUILD[@]}" "${NEEDED_FOR_PAGE[@]}"
    cd "$ROOT"
    mkdir -p "$LOGS"
    stage build
    make -j"$JOBS" GPU= build/run tests/page/node_modules/.package-lock.json >&2
    stage "the web page in Chromium" "(about a minute on 2 cores)"
    for part in tests/page/test_*.mjs; do
        check "$(sed -n '1s/^[^:]*: //p' "$part")" node --test "$part"
    done
    finish_tests
}

run_tests() {
    local how=${1:-}
    case $how in
    --page)
        (($# <= 1)) || die "test: expected nothing after --page, found \"$2\""
        run_page_tests
        return
        ;;
    --slurm)
        ((EUID == 0)) || die "test --slurm: expected root, whom the daemons need"
        cd "$ROOT"
        mkdir -p "$LOGS"
        need "${NEEDED_TO_BUILD[@]}"
        stage build
        make -j"$JOBS" GPU= build/run >&2
        need "${NEEDED_FOR_SLURM[@]}"
        stage "jobs under a real Slurm" "(3 to 4 minutes)"
        run_slurm_test build
        run_slurm_examples build
        finish_tests
        return
        ;;
    -t*)
        run_quick_tests "$@"
        return
        ;;
    --quick)
        run_quick_tests "${@:2}"
        return
        ;;
    '' | --asan | --ci) (($# <= 1)) || die "test: expected nothing after $how, found \"$2\"" ;;
    *) die "test: expected nothing, --asan, --ci, --page, --quick or --slurm, found \"$how\"" ;;
    esac
    cd "$ROOT"
    mkdir -p "$LOGS"
    if [[ $how == --asan ]]; then
        run_all_tests asan build/asan
    else
        run_all_tests default build
    fi
    [[ $how != --ci ]] || run_ci_checks
    finish_tests
}

fuzz() {
    local seconds targets target what bad=0
    seconds=$(seconds_of fuzz 60 "$@")
    need "${NEEDED_TO_BUILD[@]}" "${NEEDED_TO_FUZZ[@]}"
    cd "$ROOT"
    say "building the fuzz targets (the first time about 2 minutes on 2 cores)"
    make -j"$JOBS" MODE=fuzz fuzz >&2
    targets=(tests/fuzz/fuzz_*.cpp)
    for target in "${targets[@]}"; do
        what=$(basename "$target" .cpp)
        local corpus=tests/fuzz/corpus/${what#fuzz_} found=build/fuzz/found/${what#fuzz_}
        mkdir -p "$found" "$corpus"
        say "$what"
        # What fails goes to the corpus, where the tests replay it; other finds stay in build/.
        "build/fuzz/$what" -max_total_time=$((seconds / ${#targets[@]} + 1)) -timeout=10 -rss_limit_mb=2048 \
            -verbosity=0 -print_final_stats=1 -artifact_prefix="$corpus/" "$found" "$corpus" >&2 || bad=1
    done
    ((bad == 0)) || die "an input failed; it is now in tests/fuzz/corpus/: mend the reader and commit the input with it"
    say "nothing failed"
}
