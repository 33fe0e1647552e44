#!/usr/bin/env bash
# run.sh: from a clone to an answer. Installs what is missing, builds, runs, tests; ./run.sh -h lists the commands.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
JOBS=$(($(nproc) < 16 ? $(nproc) : 16))
LOGS=$ROOT/build/logs

# What each task needs, as Debian's package and the thing in it that we look for, so that any other way to install it
# will do as well.
NEEDED_TO_BUILD=(g++:g++ make:make libpcre2-dev:pcre2.h nlohmann-json3-dev:nlohmann/json.hpp libcli11-dev:CLI/CLI.hpp
    libfmt-dev:fmt/core.h libedit-dev:editline/readline.h libxxhash-dev:xxhash.h)
NEEDED_TO_TEST_KERNELS=(libgtest-dev:gtest/gtest.h libboost-context-dev:boost/context/detail/fcontext.hpp)
NEEDED_TO_TEST=("${NEEDED_TO_TEST_KERNELS[@]}" python3:python3 nodejs:node npm:npm)
NEEDED_FOR_OTHER_CPUS=(qemu-user:qemu-aarch64 g++-aarch64-linux-gnu:aarch64-linux-gnu-g++)
NEEDED_FOR_AMD=(hipcc:hipcc clang-19:clang++-19 clang-tools-19:clang-offload-bundler-19 lld-19:ld.lld-19 llvm-19:llvm-as-19)
NEEDED_FOR_CI=(clang-format:clang-format clang-19:clang++-19 libomp-19-dev:omp-19)
NEEDED_TO_FUZZ=(clang:clang++ libclang-rt-dev:libFuzzer)

help() {
    cat <<'END'
./run.sh COMMAND

  demo                     build, then an answer, a chat and a file of requests with the small model that ships here
  build [default|fast|omp] build ./run, for this machine's GPU if there is a compiler for it. The variable GPU chooses
                           another (make help lists them), GPU=none the CPU alone. fast: for exactly this CPU. omp is
                           default: OpenMP is always on
  run [MODEL] [FLAGS]      start the program, building it if need be; ./run.sh run --help lists its flags. The word run may
                           be left out before a flag. The family's scripts work as they are: -m 20 and -m 120 are
                           models ($GETP_MODEL_20B, else gpt-oss-20b* in this folder, else the hub's cache), a bare -f
                           is -f 1, and getp without -i and -o has tests/data/input.txt (made if missing) and output.txt.
                           Under Slurm, or where a Slurm controller answers, srun starts it on a node of its own;
                           srun's variables (SLURM_PARTITION, SLURM_GPUS, SLURM_ACCOUNT) say where; FORCE_SRUN=1: always
  export SRC DST [--to KIND]   convert a checkpoint; KIND is bin, hf, original, legacy-f32 or legacy-bf16
  bench [MODEL]            how fast it is here: prefill, decode, 32 requests at once (default: the demo model)
  test [--asan | --ci]     build and run every test, those of GPU kernels on emulated GPUs; --asan: under
                           AddressSanitizer and UBSan; --ci: every test, then those of the CPU under the sanitizers,
                           clang as a second compiler, clang-format. The last line is "N passed, N failed"
  test --quick [-t SECONDS]   (or test -t SECONDS) only the tests of GPU kernels, on the GPU that build would build for,
                           else on an emulated one: like $GPU_ARCH (gfx1151, sm_90), if set, else an MI250. None starts
                           after SECONDS (default 30), building not counted
  fuzz [-t SECONDS]        feed damaged files to every reader for SECONDS in all (default 60); needs clang

Missing Debian packages are installed first if you are root, and named if you are not.
END
}

say() { echo "== $*" >&2; }
die() {
    echo "run.sh: $*" >&2
    exit 2
}
# seconds_of COMMAND DEFAULT [-t SECONDS]
seconds_of() {
    local command=$1 seconds=$2 flag OPTIND=1
    shift 2
    while getopts t: flag; do
        [[ $flag == t ]] || die "$command: the only flag is -t SECONDS"
        seconds=$OPTARG
    done
    ((OPTIND > $#)) || die "$command: expected nothing or -t SECONDS, found \"${!OPTIND}\""
    [[ $seconds =~ ^[1-9][0-9]*$ ]] || die "$command: -t: expected a number of seconds, found \"$seconds\""
    echo "$seconds"
}
# Prints a command so that it can be pasted, then runs it.
show() {
    local line=+ word
    for word; do [[ $word == *[!a-zA-Z0-9_./=-]* ]] && line+=" ${word@Q}" || line+=" $word"; done
    echo "$line" >&2
    "$@"
}

# ---- packages and builds ----

# Whether a thing of the NEEDED lists is here: a header, a command, or one of the special cases.
is_here() {
    case $1 in
    *.h | *.hpp) printf '#if !__has_include(<%s>)\n#error\n#endif\n' "$1" | "${CXX:-g++}" -E -x c++ - &> /dev/null ;;
    libFuzzer) echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, long) { return 0; }' |
        clang++ -fsanitize=fuzzer -x c++ - -o /dev/null &> /dev/null ;;
    omp-19) echo '#include <omp.h>' | clang++-19 -fopenmp -E -x c++ - &> /dev/null ;;
    node) command -v node > /dev/null && node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' ;;
    g++) command -v "${CXX:-g++}" > /dev/null ;;
    *) command -v "$1" > /dev/null ;;
    esac
}

# need PACKAGE:THING...: installs the packages whose thing is missing, or says how.
need() {
    local missing=() pair
    for pair; do is_here "${pair#*:}" || missing+=("${pair%%:*}"); done
    ((${#missing[@]})) || return 0

    local install=(apt-get install -y --no-install-recommends "${missing[@]}")
    command -v apt-get > /dev/null || die "missing (by their Debian names): ${missing[*]}"
    ((EUID == 0)) || die "missing packages; please run: sudo ${install[*]}"
    say "installing ${missing[*]} (a minute or two)"
    mkdir -p "$LOGS"
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive "${install[@]}"; } &> "$LOGS/apt"; then
        tail -n 20 "$LOGS/apt" >&2
        die "apt-get failed; the whole log is $LOGS/apt"
    fi
    for pair; do
        is_here "${pair#*:}" || die "${pair%%:*} is installed, but ${pair#*:} is still missing or too old"
    done
}

# make's GPU= for this machine: $GPU or $GPU_ARCH if it is set, "none" for the CPU alone; else the target of the first
# device, if there is a compiler for it.
gpu_target() {
    local capability='' target='' compiler=''
    case ${GPU:-${GPU_ARCH:-}} in
    none) return ;;
    ?*) echo "${GPU:-$GPU_ARCH}" && return ;;
    esac
    read -r capability < <(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null) || true
    if [[ $capability ]]; then
        target=sm_${capability/./} compiler=nvcc
    elif [[ -e /dev/kfd ]]; then
        target=$({ PATH=$PATH:/opt/rocm/bin rocminfo | grep -o -m 1 'gfx[1-9][0-9a-f]*'; } 2> /dev/null) || true
        compiler=$([[ $target == gfx90a ]] && echo hipcc || echo clang++-19)
    fi
    [[ $target ]] || return 0
    if PATH=$PATH:/usr/local/cuda/bin command -v "$compiler" > /dev/null; then
        echo "$target"
    else
        say "there is a $target, but no $compiler to build for it: building for the CPU alone"
    fi
}

# build ARGUMENTS of make: the program.
build() {
    local gpu
    need "${NEEDED_TO_BUILD[@]}"
    gpu=$(gpu_target)
    say "building${gpu:+ for $gpu} (the first time 1 to 3 minutes on 2 cores)"
    make --no-print-directory -C "$ROOT" -j"$JOBS" "GPU=$gpu" "$@" run >&2
}

# ---- running ----

# find_model SIZE: prints where gpt-oss-SIZEb is: $GETP_MODEL_SIZEB, else this folder, else the hub's cache.
find_model() {
    local variable=GETP_MODEL_$1B hub=${HF_HUB_CACHE:-${HF_HOME:-${HOME:-}/.cache/huggingface}/hub} path
    if [[ -n ${!variable:-} ]]; then
        echo "${!variable}"
        return
    fi
    for path in gpt-oss-"$1"b* "$hub/models--openai--gpt-oss-$1b/snapshots"/*/; do
        if [[ -e $path ]]; then
            echo "${path%/}"
            return
        fi
    done
    die "-m $1: expected a model in \$$variable, as gpt-oss-$1b* in $PWD or as openai/gpt-oss-$1b in $hub, found none"
}

# The family's usual input, in small: a count, then a raw prompt a line.
make_input() {
    local first second
    mkdir -p "${1%/*}"
    {
        echo 32
        for first in "The capital of France" "A short story about rain" "What a compiler does" "My favourite dish"; do
            for second in "is" "begins with" "means that" "was once" "in one sentence:" "and why:" "for a child:" "at last"; do
                echo "$first $second"
            done
        done
    } > "$1.part"
    mv "$1.part" "$1"
    say "made $1: 32 short prompts"
}

# run_family ARGUMENTS: starts the program with the words that the family's scripts have and the program has not: a size as
# the model, -f without a value, getp without files.
run_family() {
    local args=() mode='' size='' input='' output='' data=$ROOT/tests/data
    while (($#)); do
        case $1 in
        -m | --mode)
            if [[ ${2:-} == 20 || ${2:-} == 120 ]]; then
                size=$2
            else
                mode=${2:-} args+=("${@:1:2}")
            fi
            shift $(($# > 1 ? 2 : 1))
            continue
            ;;
        -f | --profile)
            args+=("$1")
            [[ ${2:-} == [01] ]] || args+=(1)
            ;;
        -[ioyczv] | --input | --output | --instructions) # a value that may look like any flag
            [[ $1 != -i && $1 != --input ]] || input=given
            [[ $1 != -o && $1 != --output ]] || output=given
            args+=("${@:1:2}")
            shift $(($# > 1 ? 2 : 1))
            continue
            ;;
        -i* | --input=*) input=given args+=("$1") ;;
        -o* | --output=*) output=given args+=("$1") ;;
        -m* | --mode=*) mode=${1#-m} mode=${mode#--mode=} args+=("$1") ;;
        *) args+=("$1") ;;
        esac
        shift
    done
    if [[ $size ]]; then
        local model # apart from its value: an assignment with local hides that find_model failed
        model=$(find_model "$size")
        args=(-c "$model" "${args[@]}")
        if [[ -z $mode && (-z $input || $output) ]]; then # their scripts know no other mode
            mode=getp args+=(-m getp)
        fi
    fi
    if [[ $mode == getp && -z $input && -z $output ]]; then
        [[ -e $data/input.txt ]] || make_input "$data/input.txt"
        args+=(-i "$data/input.txt" -o "$data/output.txt")
    fi
    start "${args[@]}"
}

# Starts ./run with the given arguments in place of this script, through srun where there is Slurm.
start() {
    [[ -x $ROOT/run ]] || build
    local forced=''
    [[ ${FORCE_SRUN:-0} == 0 ]] || forced=yes
    if ! command -v srun > /dev/null; then
        [[ -z $forced ]] || die "FORCE_SRUN=$FORCE_SRUN: expected srun in \$PATH, found none"
        exec "$ROOT/run" "$@"
    fi
    local srun=(srun --ntasks=1 --cpu-bind=none)
    [[ -t 0 && -t 1 ]] && srun+=(--pty)
    if [[ -n ${SLURM_JOB_ID:-} ]]; then
        local cpus=${SLURM_JOB_CPUS_PER_NODE:-1} # "64" or "64(x2)" or "64,32"
        exec "${srun[@]}" --nodes=1 --cpus-per-task="${cpus%%[(,]*}" "$ROOT/run" "$@"
    elif [[ $forced ]] || timeout 2 sinfo --noheader &> /dev/null; then
        exec "${srun[@]}" --nodes=1 --exclusive "$ROOT/run" "$@"
    fi
    exec "$ROOT/run" "$@"
}

demo() {
    build
    cd "$ROOT"
    say "one answer: reasoning first, then the answer"
    show ./run -i "Write a haiku about rain."

    say "two turns of chat, thinking harder"
    show ./run -m chat --reasoning high <<< $'My name is Ada.\nWhat is my name?'

    say "a file of 64 requests"
    local folder i
    folder=$(mktemp -d)
    for ((i = 0; i < 64; i++)); do
        printf '{"custom_id": "sum-%d", "body": {"messages": [{"role": "user", "content": "What is %d + %d?"}]}}\n' \
            "$i" $((37 * i % 500)) $((91 * i % 500))
    done > "$folder/requests.jsonl"
    show ./run -m getp --reasoning low -T 0 -i "$folder/requests.jsonl" -o "$folder/answers.jsonl"
    say "the first answer"
    head -n 1 "$folder/answers.jsonl"
    rm -r "$folder"
    say "done. Next: ./run.sh run MODEL -i \"Why is the sky blue?\""
}

# One request a line: $1 requests of $2 prompt tokens each, answers of exactly $3 tokens.
requests() {
    awk -v n_requests="$1" -v n_prompt="$2" -v n_new="$3" 'BEGIN {
        for (r = 0; r < n_requests; r++) {
            ids = r
            for (i = 1; i < n_prompt; i++) ids = ids "," (7 * i + 13 * r) % 250
            printf "{\"prompt\": [%s], \"max_tokens\": %d, \"temperature\": 0, \"ignore_eos\": true}\n", ids, n_new
        }
    }'
}

bench() {
    local model=${1:-$ROOT/demo} folder case n_requests n_prompt n_new
    build
    folder=$(mktemp -d)
    for case in "1 1024 1" "1 16 128" "32 16 128"; do
        read -r n_requests n_prompt n_new <<< "$case"
        say "requests: $n_requests, tokens in: $n_prompt, tokens out: $n_new each"
        requests "$n_requests" "$n_prompt" "$n_new" > "$folder/requests"
        "$ROOT/run" "$model" -m getp -n 2048 -i "$folder/requests" -o "$folder/answers"
    done
    rm -r "$folder"
}

# ---- tests ----

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

# Reads the output of a GoogleTest process; shows failed tests with what they printed, then "passed failed skipped chosen"
# on stdout. A process that died counts as one failure, the test in which it died.
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

# run_gtest PROGRAM [FLAGS]: all its GoogleTests, one process a core.
run_gtest() {
    local i passed failed skipped chosen
    for ((i = 0; i < JOBS; i++)); do
        GTEST_TOTAL_SHARDS=$JOBS GTEST_SHARD_INDEX=$i OMP_WAIT_POLICY=passive "$@" --gtest_color=no &> "$LOGS/tests.$i" &
    done
    wait
    for ((i = 0; i < JOBS; i++)); do
        read -r passed failed skipped chosen < <(count_tests "$LOGS/tests.$i")
        PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) CHOSEN=$((CHOSEN + chosen))
        ((skipped == 0)) || say "$skipped tests skipped, see above"
    done
}

# run_gpu_tests MODE BUILD: kernels, and the whole model on them, on the CPU with each layout of matrix cores. Kernels in two
# orders of lanes and blocks at once, of which the first is the usual one: that finds races (EMU_ORDER,
# tests/emu/hip_runtime.h). The demo's text, minutes long, is written in full with the first layout and in part with the others.
run_gpu_tests() {
    local gpu left_out='GpuDemo.WritesSomeOfTheGoldenText'
    [[ $1 == default ]] || left_out='GpuDemo*'
    for gpu in emulate-cdna emulate-rdna3 emulate-sm80; do
        stage "kernels, $gpu: build"
        if ! make -j"$JOBS" MODE="$1" BUILD="$2" GPU=$gpu gpu-tests >&2; then
            FAILED=$((FAILED + 1))
            continue
        fi
        export OMP_NUM_THREADS=1 # the processes are enough
        stage "kernels, $gpu: the whole model"
        run_gtest "$2/$gpu/gpu_tests" --gtest_filter="Gpu*:*/Gpu*:Emulator*:*/Emulator*:-$left_out"
        stage "kernels, $gpu: one by one"
        EMU_ORDER=check run_gtest "$2/$gpu/gpu_tests" --gtest_filter='-Gpu*:*/Gpu*:Emulator*:*/Emulator*'
        if [[ $gpu == emulate-sm80 ]]; then # a device without instructions of wave groups
            EMU_GROUPS=0 run_gtest "$2/$gpu/gpu_tests" --gtest_filter='*Gemm*:*Qkv*'
        fi
        unset OMP_NUM_THREADS
        [[ $1 != default ]] || left_out='GpuDemo.WritesTheGoldenText*'
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

# run_quick_tests [-t SECONDS]: of the GPU's tests those of one kernel each. On a device one process has it to itself.
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
    GPU_TESTS_SECONDS=$seconds OMP_NUM_THREADS=1 run_gtest "build/$gpu/gpu_tests" \
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
    check "include rules, file sizes, first lines" python3 tools/check_includes.py
    check "what kernels cost: the reader of code objects itself" python3 tools/isa_report.py --self-test
    stage "build" "(the first time about 5 minutes on 2 cores)"
    make -j"$JOBS" MODE="$mode" BUILD="$build" GPU= tests >&2 || {
        echo "$PASSED passed, $((FAILED + 1)) failed"
        exit 1
    }
    if [[ $mode == default && $(uname -m) == x86_64 ]]; then
        stage "other CPUs, emulated"
        need "${NEEDED_FOR_OTHER_CPUS[@]}"
        check "objects of single instruction sets" tools/check_isa_objects.sh "$build/obj/src/cpu"
        check "an answer on a CPU without AVX" bash -c \
            "[[ \$(qemu-x86_64 -cpu Westmere $build/run -i 'What is 347 + 586?') == '347 + 586 = 933' ]]"
        check "kernels for aarch64" tools/check_aarch64.sh -j "$JOBS"
    fi
    stage "other tokenizers, asked about our test text" "(npm; the first time 1 to 2 minutes)"
    check "tokenizer peers" make peers
    stage "tests of the CPU"
    run_gtest "$build/tests"
    run_gpu_tests "$mode" "$build"
    if [[ $mode == default && $(uname -m) == x86_64 ]]; then
        stage "kernels compiled for gfx90a, gfx942, gfx1100 and gfx1151" "(1 to 3 minutes on 2 cores)"
        need "${NEEDED_FOR_AMD[@]}"
        check "kernels for AMD devices: no spills, matrix instructions where they belong" tools/amd/check.sh -j "$JOBS"
    fi
}

# run_ci_checks: what every test leaves out: the format, another compiler, the CPU's tests under the sanitizers.
run_ci_checks() {
    stage "format, clang" "(1 to 2 minutes on 2 cores)"
    need "${NEEDED_FOR_CI[@]}"
    check "include rules and format" make check
    check "clang 19 finds nothing in the host's code" make -k -j"$JOBS" CXX=clang++-19 CXXFLAGS=-fsyntax-only \
        BUILD=build/clang objects
    stage "build with sanitizers" "(the first time about 5 minutes on 2 cores)"
    if make -j"$JOBS" MODE=asan BUILD=build/asan GPU= tests >&2; then
        stage "tests of the CPU with sanitizers"
        run_gtest build/asan/tests
    else
        FAILED=$((FAILED + 1))
    fi
}

run_tests() {
    local how=${1:-}
    case $how in
    -t*)
        run_quick_tests "$@"
        return
        ;;
    --quick)
        run_quick_tests "${@:2}"
        return
        ;;
    '' | --asan | --ci) (($# <= 1)) || die "test: expected nothing after $how, found \"$2\"" ;;
    *) die "test: expected nothing, --asan, --ci or --quick, found \"$how\"" ;;
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

command=${1:-}
shift || true
case $command in
demo) demo ;;
build)
    case ${1:-default} in
    default | omp) build ;;
    fast) build MODE=fast ;;
    *) die "build: expected default, fast or omp, found \"$1\"" ;;
    esac
    ;;
run) run_family "$@" ;;
export) start export "$@" ;;
bench) bench "$@" ;;
test) run_tests "$@" ;;
fuzz) fuzz "$@" ;;
-h | --help | help) help ;;
-*) run_family "$command" "$@" ;;
'')
    help >&2
    exit 2
    ;;
*) die "expected a command (./run.sh -h lists them), found \"$command\"" ;;
esac
