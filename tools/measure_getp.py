#!/usr/bin/env python3
"""measure_getp.py: getp's rates that docs/performance.md states: makes the requests, runs them, prints a table.

    measure_getp.py MODEL [SET ...] [--run ./run] [--runs 3] [--scale 1]

SET (default: those that need one GPU; the hashes of a set's equal requests must be equal, else the exit code is 1):
    flight   as many requests as in flight, 1 to 4096, each 14 tokens in, 512 out
    long     2,048 requests of 1,024 in, 1,024 out
    prefix   1,000 requests with 2,000 tokens in common, 16 out, with and without reuse
    gpus     4,096 requests of 14 in, 256 out, 1,024 in flight a GPU, on 1, 2 and 4 GPUs (as many as there are)
    chain    8,192 requests of 14 in, 512 out, on one GPU, on two with a copy each and on a chain of two
    chain120 512 requests of 1,024 in and out, on one GPU of 80 GB, on a chain of two of 64 GB, and on both with 11 GiB
             of KV cache a GPU; 8,192 of 14 in, 128 out, and 1,024 of 14 in, 256 out, on one GPU and on the chain

--scale N divides numbers of requests and tokens by N, for a small model. Answers are greedy and of fixed length;
prompts are random ids, the same in every run. A row is the run with the median rate.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

SETS = ("flight", "long", "prefix", "gpus", "chain", "chain120")
WITH_ONE_GPU = SETS[:3]
CHAIN = ["-g", "2", "--gpus-per-replica", "2"]
FLIGHT = (1, 4, 8, 16, 64, 256, 512, 1024, 2048, 4096)


def cases(name, gpus):
    """A set of requests: (requests, tokens in common, tokens in, tokens out, flags)."""
    one = ["-g", "1"] if gpus else []
    return {
        "flight": [(n, 0, 14, 512, one) for n in FLIGHT],
        "long": [(2048, 0, 1024, 1024, one)],
        "prefix": [(1000, 2000, 14, 16, one + more) for more in ([], ["--no-prefix-cache"])],
        "gpus": [(4096, 0, 14, 256, ["-g", str(g), "-b", "1024"]) for g in (1, 2, 4) if g <= gpus],
        "chain": [(8192, 0, 14, 512, flags) for flags in (one, ["-g", "2"], CHAIN)],
        "chain120": [(512, 0, 1024, 1024, flags) for flags in (
                        one + ["--gpu-memory", "80GB"], CHAIN + ["--gpu-memory", "64GB"],
                        one + ["--kv-memory", "11G"], CHAIN + ["--kv-memory", "11G"])] +
                    [(n, 0, 14, n_out, flags) for n, n_out in ((8192, 128), (1024, 256)) for flags in (one, CHAIN)],
    }[name]


def scaled(n, scale):
    return max(1, n // scale) if n else 0


def write_requests(path, n, n_common, n_in, n_out):
    ids = random.Random(7)
    common = [ids.randrange(256) for _ in range(n_common)]
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(n):
            prompt = common + [ids.randrange(256) for _ in range(n_in)]
            request = {"prompt": prompt, "max_tokens": n_out, "temperature": 0, "ignore_eos": True}
            file.write(json.dumps(request) + "\n")


def run_once(program, model, folder, flags):
    """The report of one run."""
    paths = {name: os.path.join(folder, name) for name in ("in.jsonl", "out.jsonl", "report.json")}
    command = [program, model, "-m", "getp", "-i", paths["in.jsonl"], "-o", paths["out.jsonl"],
               "--overwrite", "--report", paths["report.json"], *flags]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr.strip()}")
    with open(paths["report.json"], encoding="utf-8") as file:
        return json.load(file)


def gpus_of(program, model):
    """GPUs that the program would use for a request."""
    with tempfile.TemporaryDirectory() as folder:
        write_requests(os.path.join(folder, "in.jsonl"), 1, 0, 4, 1)
        devices = run_once(program, model, folder, [])["devices"]
        return sum(device["name"].startswith("GPU") for device in devices)


def row(case, report, rate):
    n, n_common, n_in, n_out, flags = case
    return (f"| {n:,} | {n_common + n_in:,} | {n_out:,} | {' '.join(flags)} | {rate:,.0f} "
            f"| {report['first_token_s']['p50']:.3f} | {report['request_s']['p99']:.3f} "
            f"| {100 * report['total']['device_idle_share']:.2f} % | {report['run_hash']} |")


def main():
    parser = argparse.ArgumentParser(description="getp's rates that docs/performance.md states")
    parser.add_argument("model")
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--run", default="./run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scale", type=int, default=1)
    args = parser.parse_args()
    unknown = [name for name in args.sets if name not in SETS]
    if unknown or min(args.runs, args.scale) < 1:
        parser.error(f"expected sets of {', '.join(SETS)}, and positive numbers; see --help")
    gpus = gpus_of(args.run, args.model)
    print("| requests | tokens in | tokens out | flags | tok/s | first token, p50 s | request, p99 s | idle | hash |")
    print("|--:|--:|--:|---|--:|--:|--:|--:|---|")
    hashes = {}
    if gpus == 0 and "gpus" in args.sets:
        sys.exit("gpus: expected a GPU, found none")
    for case in [case for name in args.sets or WITH_ONE_GPU for case in cases(name, gpus)]:
        *sizes, flags = case
        sizes = [scaled(n, args.scale) for n in sizes]
        with tempfile.TemporaryDirectory() as folder:
            write_requests(os.path.join(folder, "in.jsonl"), *sizes)
            reports = [run_once(args.run, args.model, folder, flags) for _ in range(args.runs)]
        reports.sort(key=lambda report: report["tokens_per_s"])
        median = reports[len(reports) // 2]
        print(row((*sizes, flags), median, median["tokens_per_s"]), flush=True)
        hashes.setdefault(tuple(sizes), set()).update(report["run_hash"] for report in reports)
    different = [sizes for sizes, found in hashes.items() if len(found) > 1]
    if different:
        sys.exit(f"expected equal answers to equal requests, found different run hashes for {different}")


if __name__ == "__main__":
    main()
