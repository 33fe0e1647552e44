# family.sh: turns command lines of the getp family's scripts into this program's. Read by run.sh.

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
            for second in "is" "begins with" "means that" "was once" "in one sentence:" "and why:" "for a child:" \
                "at last"; do
                echo "$first $second"
            done
        done
    } > "$1.part"
    mv "$1.part" "$1"
    say "made $1: 32 short prompts"
}

# run_family ARGUMENTS: starts the program with what the family's scripts leave out or add: a size as the model, -f
# without a value, getp without files.
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
        args+=(-i "$data/input.txt" -o "$data/output.txt" --overwrite)
    fi
    start "${args[@]}"
}
