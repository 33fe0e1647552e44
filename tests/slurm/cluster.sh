# cluster.sh: four nodes of a real Slurm on this machine, and a job for them. Read by the tests here; needs root and
# Debian's slurmctld, slurmd, slurm-client and munge; leaves nothing running.

FOLDER=$(mktemp -d)
export SLURM_CONF=$FOLDER/slurm.conf  # from here on: no command may reach the Slurm of a site
HOST=$(hostname -s)
STARTED=() SLURMD=()

say() { echo "slurm: $*" >&2; }
die() {
    say "$*"
    tail -n 30 "$FOLDER"/*.log >&2 || true
    exit 1
}
stop_all() {
    local pid i
    if [[ -e $SLURM_CONF ]]; then
        scancel --quiet --user=root 2> /dev/null || true
        for ((i = 0; i < 100; i++)); do [[ $(squeue -h 2> /dev/null) ]] && sleep 0.1 || break; done
    fi
    for pid in "${STARTED[@]}"; do kill "$pid" 2> /dev/null || true; done
    sleep 1
    for pid in "${STARTED[@]}"; do kill -9 "$pid" 2> /dev/null || true; done
    rm -rf "$FOLDER"
}
trap stop_all EXIT

# daemon NAME COMMAND...: starts a daemon that stays in the foreground.
daemon() {
    "${@:2}" &> "$FOLDER/$1.log" &
    STARTED+=($!)
}
# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local i
    for ((i = 0; i < 10 * $1; i++)); do
        "${@:2}" &> /dev/null && return
        sleep 0.1
    done
    die "waited $1 s in vain for: ${*:2}"
}

start_cluster() {
    mkdir -p "$FOLDER"/{state,spool,munge}
    chmod 755 "$FOLDER"
    dd if=/dev/urandom of="$FOLDER/munge/key" bs=1024 count=1 2> /dev/null
    chmod 400 "$FOLDER/munge/key"
    daemon munged munged --foreground --force --key-file="$FOLDER/munge/key" --socket="$FOLDER/munge/socket" \
        --pid-file="$FOLDER/munge/pid" --seed-file="$FOLDER/munge/seed" --log-file="$FOLDER/munge/log"
    cat > "$SLURM_CONF" << END
ClusterName=test
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=17000
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$FOLDER/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$FOLDER/state
SlurmdSpoolDir=$FOLDER/spool/%n
SlurmctldPidFile=$FOLDER/slurmctld.pid
SlurmdPidFile=$FOLDER/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0
MpiDefault=none
ReturnToService=2
SlurmdTimeout=5
JobRequeue=1
KillWait=10
SlurmdParameters=config_overrides
GresTypes=gpu
MailProg=/bin/true
NodeName=n[1-4] NodeHostname=$HOST NodeAddr=127.0.0.1 Port=[17001-17004] CPUs=8 Gres=gpu:8 State=UNKNOWN
PartitionName=all Nodes=n[1-4] Default=YES MaxTime=INFINITE State=UP
END
    touch "$FOLDER"/gpu{0..7}
    echo "NodeName=n[1-4] Name=gpu File=$FOLDER/gpu[0-7]" > "$FOLDER/gres.conf"
    wait_for 20 test -S "$FOLDER/munge/socket"
    daemon slurmctld slurmctld -D
    local i
    for i in 1 2 3 4; do daemon "slurmd-n$i" slurmd -D -N "n$i" && SLURMD[i]=${STARTED[-1]}; done
    wait_for 60 eval '[[ $(sinfo -h -o %D -t idle) == 4 ]]'
}

# lose_node N: its daemon and all that it has started are gone at once, as where the power fails.
lose_node() {
    local pid parent n_tasks=0
    kill -9 "${SLURMD[$1]}"
    for pid in $(grep -l -z "^SLURMD_NODENAME=n$1$" /proc/[0-9]*/environ 2> /dev/null | cut -d/ -f3); do
        grep -q -z "^SLURM_CONF=$SLURM_CONF$" "/proc/$pid/environ" 2> /dev/null || continue
        parent=$(ps -o ppid= -p "$pid" || true)
        [[ $(ps -o comm= -p "$parent") == slurmstepd ]] && kill -9 "$parent" "$pid" && n_tasks=$((n_tasks + 1))
    done
    ((n_tasks > 0)) || die "expected a task on n$1, found none: the job was over too soon"
}

# ---- a job, and what comes of it

make_requests() {
    local i
    for ((i = 0; i < ${N_REQUESTS:-400}; i++)); do
        printf '{"custom_id": "%d", "prompt": [%d, %d], "max_tokens": %d, "ignore_eos": true, "seed": %d}\n' \
            "$i" $((i % 200 + 1)) $((i % 7 + 1)) $((20 + i * 37 % 120)) "$i"
    done
}
# Lines in order, and without the time at which the job began.
comparable() { sed 's/"created":[0-9]*/"created":0/' "$1" | sort; }
n_done() { find "$1.parts" -name '*.done' 2> /dev/null | wc -l; }
has_done() { (($(n_done "$1") >= $2)); }
answers_are_there() { [[ -e $1.job && ! -e $1.parts ]]; }
is_expected() { cmp <(comparable "$1") "$FOLDER/expected"; }

# What one process writes, in $FOLDER/expected; it and others read $FOLDER/requests.jsonl.
run_alone() {
    make_requests > "$FOLDER/requests.jsonl"
    "$RUN" "$MODEL" -m getp -i "$FOLDER/requests.jsonl" -o "$FOLDER/alone" -b 8 2> "$FOLDER/alone.log" ||
        die "one process alone failed"
    comparable "$FOLDER/alone" > "$FOLDER/expected"
}
