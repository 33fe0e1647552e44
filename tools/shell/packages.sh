# packages.sh: what the commands of run.sh need from Debian, and which GPU to build for. Read by run.sh.

# What each task needs: Debian's package, and the thing in it that is looked for: it may have come another way.
NEEDED_TO_BUILD=(g++:g++ make:make libpcre2-dev:pcre2.h nlohmann-json3-dev:nlohmann/json.hpp libcli11-dev:CLI/CLI.hpp
    libfmt-dev:fmt/core.h libedit-dev:editline/readline.h libevent-dev:event2/event.h libxxhash-dev:xxhash.h)
NEEDED_TO_TEST_KERNELS=(libgtest-dev:gtest/gtest.h libboost-context-dev:boost/context/detail/fcontext.hpp)
NEEDED_TO_TEST=("${NEEDED_TO_TEST_KERNELS[@]}" python3:python3 nodejs:node npm:npm clang-format:clang-format
    curl:curl)
NEEDED_FOR_OTHER_CPUS=(qemu-user:qemu-aarch64 g++-aarch64-linux-gnu:aarch64-linux-gnu-g++)
NEEDED_FOR_AMD=(hipcc:hipcc clang-19:clang++-19 clang-tools-19:clang-offload-bundler-19 lld-19:ld.lld-19
    llvm-19:llvm-as-19)
NEEDED_FOR_CI=(clang-19:clang++-19 libomp-19-dev:omp-19)
NEEDED_FOR_SLURM=(slurmctld:slurmctld slurmd:slurmd slurm-client:srun munge:munged)
NEEDED_FOR_PAGE=(nodejs:node npm:npm chromium:chromium)
NEEDED_TO_FUZZ=(clang:clang++ libclang-rt-dev:libFuzzer)

# Whether a thing of the NEEDED lists is here: a header, a command, or one of the special cases.
is_here() {
    case $1 in
    *.h | *.hpp) printf '#if !__has_include(<%s>)\n#error\n#endif\n' "$1" | "${CXX:-g++}" -E -x c++ - &> /dev/null ;;
    libFuzzer) echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, long) { return 0; }' |
        clang++ -fsanitize=fuzzer -x c++ - -o /dev/null &> /dev/null ;;
    omp-19) echo '#include <omp.h>' | clang++-19 -fopenmp -E -x c++ - &> /dev/null ;;
    slurmctld | slurmd | munged) PATH=$PATH:/usr/sbin command -v "$1" > /dev/null ;;
    node) command -v node > /dev/null && node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' ;;
    chromium) command -v "${CHROMIUM:-chromium}" > /dev/null ;;
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
