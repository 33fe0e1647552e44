#!/usr/bin/env bash
# run.sh: from a clone to an answer. Installs what is missing, builds, runs, tests; ./run.sh -h lists the commands.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
JOBS=$(($(nproc) < 16 ? $(nproc) : 16))
LOGS=$ROOT/build/logs

for part in packages family tests; do source "$ROOT/tools/shell/$part.sh"; done

help() {
    cat <<'END'
./run.sh COMMAND

  demo                     build, then show an answer, a chat, a file of requests and the server with the small model
                           in demo/
  build [default|fast|omp] build ./run, for this machine's GPU if there is a compiler for it. The variable GPU chooses
                           another (make help lists them), GPU=none the CPU alone. fast: for exactly this CPU. omp:
                           the same as default
  run [MODEL] [FLAGS]      start the program, building it if need be; ./run.sh run --help lists its flags. Before a flag
                           the word run may be left out. The getp family's scripts work: -m 20 and -m 120 are models
                           ($GETP_MODEL_20B, else gpt-oss-20b* in this folder, else the hub's cache), a bare -f is
                           -f 1, and getp takes tests/data/input.txt (made if missing) and output.txt if -i and -o
                           are absent. In a Slurm job, or where a Slurm controller answers, srun starts it on a node
                           of its own, as SLURM_PARTITION, SLURM_GPUS and SLURM_ACCOUNT say; FORCE_SRUN=1: always
  export SRC DST [--to KIND]   convert a checkpoint; KIND is bin, hf, original, legacy-f32 or legacy-bf16
  bench [MODEL]            measure prefill, decode and 32 requests at once (default: the demo model)
  test [--asan | --ci]     build and run every test, those of GPU kernels on emulated GPUs. --asan: under
                           AddressSanitizer and UBSan; --ci: also clang 19's warnings on the host's code, and the
                           CPU's tests again with both sanitizers. The last line is "N passed, N failed"
  test --quick [-t SECONDS]   (or test -t SECONDS) only the tests of GPU kernels, on this machine's GPU, else on an
                           emulated one: like $GPU_ARCH (gfx1151, sm_90), if set, else an MI250. No test starts
                           after SECONDS (default 30), building not counted
  test --page              only the server's web page, in a headless Chromium, which is installed first
  test --slurm             only getp on four nodes of a real Slurm, all on this machine; needs root
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
    show_server
    say "done. Next: ./run.sh run MODEL -i \"Why is the sky blue?\""
}

# The server on the demo model and a free port: one question, then it goes.
show_server() {
    local log url server
    need curl:curl
    say "OpenAI's API over HTTP"
    log=$(mktemp)
    echo "+ ./run serve --port 0 &" >&2
    ./run serve --port 0 2> "$log" &
    server=$!
    until url=$(grep -o -m 1 'http://[0-9.:]*' "$log") && curl -sf "$url/health" > /dev/null; do
        kill -0 "$server" 2> /dev/null || { cat "$log" >&2 && die "the server did not start"; }
        sleep 0.1
    done
    show curl -s "$url/v1/chat/completions" \
        -d '{"messages": [{"role": "user", "content": "What is 347 + 586?"}], "temperature": 0}'
    echo
    kill "$server"
    wait "$server" || die "the server ended with code $?"
    rm "$log"
    say "in a browser the server shows a page to talk to the model: ./run serve, then http://127.0.0.1:8000/"
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
        "$ROOT/run" "$model" -m getp -n 2048 -i "$folder/requests" -o "$folder/answers" --overwrite
    done
    rm -r "$folder"
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
