#!/usr/bin/env bash
# test_examples.sh: the batch scripts of examples/slurm/, submitted as they are to four nodes of a real Slurm on this
# machine, and disturbed: preempted, warned of their time limit, robbed of a node. Each output must be that of one
# process. Needs root and Debian's slurmctld, slurmd, slurm-client and munge; leaves nothing running.
#
#     tests/slurm/test_examples.sh RUN MODEL
set -euo pipefail

RUN=$(realpath "$1") MODEL=$(realpath "$2")
EXAMPLES=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../examples/slurm")
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

# submit SCRIPT OUT FLAGS...: prints the job's number.
submit() { sbatch --parsable -o "$FOLDER/$2.log" "${@:3}" "$EXAMPLES/$1" "$MODEL" requests.jsonl "$2"; }
n_answers() { { wc -l < "$1"; } 2> /dev/null || echo 0; }
has_answers() { (($(n_answers "$1") >= $2)); }
is_complete() { grep -q '"finished":true' "$1.job" && answers_are_there "$1"; }
# Slurm lets a job that was put back wait for two minutes, in case its node is broken. This one need not wait.
is_complete_soon() {
    ! is_complete "$1" || return 0
    scontrol update JobId="$2" StartTime=now
    return 1
}
n_restarts() { scontrol show job "$1" | grep -o -m 1 'Restarts=[0-9]*' | cut -d= -f2; }
# expect_done OUT JOB: the job ends, with the answers of one process.
expect_done() {
    wait_for 120 is_complete_soon "$1" "$2"
    is_expected "$1" || die "$1: the answers are not those of one process"
}

export OMP_NUM_THREADS=1
N_REQUESTS=1600 # so that each job still runs when it is disturbed, on an idle machine too
say "starting four nodes"
start_cluster
run_alone
cd "$FOLDER"
ln -s "$RUN" run

say "one node: preempted"
job=$(submit one-node.sbatch one)
wait_for 60 has_answers one 20
scontrol requeue "$job"
expect_done one "$job"
(($(n_restarts "$job") == 1)) || die "expected one restart, found $(n_restarts "$job"): the job was over too soon"

say "one node: warned of its time limit, which comes after a minute"
rm run
printf '#!/bin/bash\nexec "%s" "$@" -b 1\n' "$RUN" > run # takes longer
chmod +x run
job=$(submit one-node.sbatch warned --time=1 --signal=B:USR1@55)
expect_done warned "$job"
(($(n_restarts "$job") >= 1)) || die "expected a restart, found none: the job was over too soon"
grep -q "stopped by a signal: .*the same command goes on" warned.log || die "it was not warned, or did not stop"
rm run
ln -s "$RUN" run

say "four nodes, of which one is lost"
job=$(submit four-nodes.sbatch four)
wait_for 60 has_done four 3
lose_node 3
expect_done four "$job"

say "an array of four, of which one task is preempted and one is cancelled"
job=$(submit array.sbatch array --array=0-3)
wait_for 60 has_done array 3
scontrol requeue "${job}_1"
scancel "${job}_2"
expect_done array "${job}_1"
(($(n_restarts "${job}_1") == 1)) || die "expected one restart of task 1, found $(n_restarts "${job}_1")"
say "all outputs are that of one process"

say "a server: answers one who has the key, and ends well when the script is warned"
job=$(HOME=$FOLDER PORT=0 sbatch --parsable -o serve.log "$EXAMPLES/serve.sbatch" "$MODEL")
wait_for 60 grep 'serve: ready' serve.log
url=$(grep -o -m 1 'http://[0-9.:]*' serve.log)
curl -sf -H "Authorization: Bearer $(cat .run-serve-key)" "${url/0.0.0.0/127.0.0.1}/v1/models" > /dev/null ||
    die "it gave no answer"
scancel --batch --signal=TERM "$job"
is_completed() { scontrol show job "$1" | grep -q 'JobState=COMPLETED'; }
wait_for 60 is_completed "$job"
