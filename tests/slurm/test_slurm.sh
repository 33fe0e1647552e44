#!/usr/bin/env bash
# test_slurm.sh: a job under a real Slurm: four nodes on this machine, four ranks, of which one is killed, one joins
# late, and the whole is put back into the queue once. The output must be that of one process. Needs root and Debian's
# slurmctld, slurmd, slurm-client and munge; leaves nothing running.
#
#     tests/slurm/test_slurm.sh RUN MODEL
set -euo pipefail

RUN=$(realpath "$1") MODEL=$(realpath "$2")
FOLDER=$(mktemp -d)
HOST=$(hostname -s)
CPUS=$(nproc)
STARTED=()

say() { echo "slurm: $*" >&2; }
die() {
    say "$*"
    tail -n 30 "$FOLDER"/*.log >&2 || true
    exit 1
}
stop_all() {
    local pid
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

# ---- a cluster

start_cluster() {
    mkdir -p "$FOLDER"/{state,spool,munge}
    chmod 755 "$FOLDER"
    dd if=/dev/urandom of="$FOLDER/munge/key" bs=1024 count=1 2> /dev/null
    chmod 400 "$FOLDER/munge/key"
    daemon munged munged --foreground --force --key-file="$FOLDER/munge/key" --socket="$FOLDER/munge/socket" \
        --pid-file="$FOLDER/munge/pid" --seed-file="$FOLDER/munge/seed" --log-file="$FOLDER/munge/log"
    cat > "$FOLDER/slurm.conf" << END
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
SelectType=select/linear
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=10
MailProg=/bin/true
NodeName=n[1-4] NodeHostname=$HOST NodeAddr=127.0.0.1 Port=[17001-17004] CPUs=$CPUS State=UNKNOWN
PartitionName=all Nodes=n[1-4] Default=YES MaxTime=INFINITE State=UP
END
    export SLURM_CONF=$FOLDER/slurm.conf
    wait_for 20 test -S "$FOLDER/munge/socket"
    daemon slurmctld slurmctld -D
    local i
    for i in 1 2 3 4; do daemon "slurmd-n$i" slurmd -D -N "n$i"; done
    wait_for 60 eval '[[ $(sinfo -h -o %D -t idle) == 4 ]]'
}

# ---- the job

make_requests() {
    local i
    for ((i = 0; i < 400; i++)); do
        printf '{"custom_id": "%d", "prompt": [%d, %d], "max_tokens": %d, "ignore_eos": true}\n' \
            "$i" $((i % 200 + 1)) $((i % 7 + 1)) $((20 + i * 37 % 120))
    done
}
# Lines in order, and without the time at which the job began.
comparable() { sed 's/"created":[0-9]*/"created":0/' "$1" | sort; }
n_done() { find "$1.parts" -name '*.done' 2> /dev/null | wc -l; }
has_done() { (($(n_done "$1") >= $2)); }
answers_are_there() { [[ -e $1.job && ! -e $1.parts ]]; }

export OMP_NUM_THREADS=1
say "starting four nodes"
start_cluster
make_requests > "$FOLDER/requests.jsonl"
FLAGS=(-m getp -i "$FOLDER/requests.jsonl" -T 1 -s 7 -b 8)
"$RUN" "$MODEL" "${FLAGS[@]}" -o "$FOLDER/alone" 2> "$FOLDER/alone.log" || die "one process alone failed"
comparable "$FOLDER/alone" > "$FOLDER/expected"

say "four ranks, of which rank 2 is killed and rank 3 comes two seconds late"
cat > "$FOLDER/rank.sh" << 'END'
#!/usr/bin/env bash
((SLURM_PROCID != 3)) || sleep 2
if ((SLURM_PROCID == 2)); then
    "$@" &
    sleep 1.5
    kill -9 $! || exit 1 # it was to be in mid-run
    wait $!
    exit 0 # a lost rank, as far as Slurm is told
fi
exec "$@"
END
chmod +x "$FOLDER/rank.sh"
srun -N 4 --ntasks-per-node=1 --kill-on-bad-exit=0 "$FOLDER/rank.sh" "$RUN" "$MODEL" "${FLAGS[@]}" \
    -o "$FOLDER/shared" &> "$FOLDER/srun.log" || die "srun: exit code $?"
answers_are_there "$FOLDER/shared" || die "no output of four ranks"
cmp <(comparable "$FOLDER/shared") "$FOLDER/expected" || die "the output of four ranks is not that of one process"

say "a batch job that is put back into the queue in mid-run"
cat > "$FOLDER/batch.sh" << END
#!/bin/bash
exec srun --kill-on-bad-exit=0 "$RUN" "$MODEL" ${FLAGS[@]@Q} -o "$FOLDER/requeued"
END
job=$(sbatch --parsable -N 4 --ntasks-per-node=1 --requeue --open-mode=append -o "$FOLDER/sbatch.log" \
    "$FOLDER/batch.sh")
wait_for 60 has_done "$FOLDER/requeued" 3
scontrol requeue "$job"
scontrol update JobId="$job" StartTime=now || true
wait_for 120 answers_are_there "$FOLDER/requeued"
restarts=$(scontrol show job "$job" | grep -o 'Restarts=[0-9]*' || true)
[[ $restarts == Restarts=1 ]] || die "expected one restart, found \"$restarts\": the job was over too soon"
cmp <(comparable "$FOLDER/requeued") "$FOLDER/expected" || die "the output of a requeued job is another"
say "all outputs are that of one process"
