#!/usr/bin/env bash
# test_slurm.sh: a job under a real Slurm: four nodes on this machine, four ranks, of which one is killed, one joins
# late, and the whole is put back into the queue once. The output must be that of one process. Needs root and Debian's
# slurmctld, slurmd, slurm-client and munge; leaves nothing running.
#
#     tests/slurm/test_slurm.sh RUN MODEL
set -euo pipefail

RUN=$(realpath "$1") MODEL=$(realpath "$2")
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

export OMP_NUM_THREADS=1
say "starting four nodes"
start_cluster
run_alone
FLAGS=(-m getp -i "$FOLDER/requests.jsonl" -b 8)

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
is_expected "$FOLDER/shared" || die "the output of four ranks is not that of one process"

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
is_expected "$FOLDER/requeued" || die "the output of a requeued job is another"
say "all outputs are that of one process"
