#!/usr/bin/env python3
"""load.py: very many requests through one process of getp: does memory stay small, and nothing leak?

    load.py RUN MODEL [-n 1000000] [--text] [--max-new 1] [-b 32]

Among N requests every tenth is bad, and three have 10 MB; as many empty lines stand between them. Prints memory, rates
in tenths of the run, descriptors and threads. The exit code is 1 if an answer is missing, if memory has grown by more
than 100 bytes a request and 64 MB, or if there are more descriptors or threads at the end than after the first tenth.
Rates are printed and not judged: another program may have taken the cores.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

MB = 1 << 20
LONG_LINE_BYTES = 10 * MB


def write_json(path, n, max_new):
    long_ones = {n // 4, n // 2, 3 * n // 4}
    with open(path, "w", encoding="utf-8") as file:
        for i in range(n):
            if i in long_ones:
                note = "x" * LONG_LINE_BYTES
                file.write(f'{{"custom_id":"{i}","prompt":[{i % 200 + 1}],"max_tokens":{max_new},"metadata":'
                           f'{{"note":"{note}"}}}}\n\n')
            elif i % 10 == 9:
                file.write(f'{{"custom_id":"{i}","prompt":[{i % 200 + 1}],"max_tokens":-5\n\n')
            else:
                file.write(f'{{"custom_id":"{i}","prompt":[{i % 200 + 1},{i % 7 + 1}],"max_tokens":{max_new},'
                           f'"ignore_eos":true}}\n\n')


def write_text(path, n):
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{n}\n")
        for i in range(n):
            file.write("\n" if i % 10 == 9 else f"{i % 1000}\n")


def status_of(pid):
    """Resident and peak memory in bytes, threads, descriptors."""
    fields = {}
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            fields[name] = value.split()
    return {"rss": int(fields["VmRSS"][0]) * 1024, "peak": int(fields["VmHWM"][0]) * 1024,
            "threads": int(fields["Threads"][0]), "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}


class Lines:
    """How many lines a growing file has by now."""
    def __init__(self, path):
        self.path, self.at, self.n = path, 0, 0

    def count(self):
        if os.path.exists(self.path):
            with open(self.path, "rb") as file:
                file.seek(self.at)
                while block := file.read(MB):
                    self.n += block.count(b"\n")
                    self.at += len(block)
        return self.n


def watch(process, journal, n):
    """(seconds, answers, status) from time to time, until the process ends."""
    samples, start, pause = [], time.monotonic(), 0.25 if n < 100000 else 1
    while process.poll() is None:
        try:
            samples.append((time.monotonic() - start, journal.count(), status_of(process.pid)))
        except (FileNotFoundError, KeyError, ProcessLookupError):  # it has just ended
            break
        time.sleep(pause)
    process.wait()
    return samples


def rates_by_tenths(samples, n):
    """Answers a second in each tenth of the answers."""
    def when(answers):
        for (t0, n0, _), (t1, n1, _) in zip(samples, samples[1:]):
            if n0 <= answers <= n1 and n1 > n0:
                return t0 + (t1 - t0) * (answers - n0) / (n1 - n0)
        return None
    times = [when(max(n * i // 10, 1)) for i in range(10)] + [samples[-1][0]]
    return [None if a is None or b is None or b <= a else n / 10 / (b - a) for a, b in zip(times, times[1:])]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("model")
    parser.add_argument("-n", type=int, default=1000000)
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--max-new", type=int, default=1)
    parser.add_argument("-b", default="32")
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: os.path.join(folder, name) for name in ("in", "out", "log")}
        write_text(paths["in"], o.n) if o.text else write_json(paths["in"], o.n, o.max_new)
        command = [o.run, o.model, "-m", "getp", "-i", paths["in"], "-o", paths["out"], "-b", o.b, "-s", "1"]
        command += ["-n", "8"] if o.text else []
        with open(paths["log"], "wb") as log:
            process = subprocess.Popen(command, stderr=log)
            samples = watch(process, Lines(paths["out"] + (".part" if o.text else "")), o.n)
        n_lines = Lines(paths["out"]).count()
        with open(paths["log"], encoding="utf-8", errors="replace") as log:
            said = log.read()

    running = [s for s in samples if s[1] > 0]
    first = next((s for s in running if s[1] >= o.n // 10), running[0])[2]
    last = samples[-1][2]
    rates = rates_by_tenths(running, o.n)
    print(f"requests: {o.n}, answers: {n_lines}, exit code: {process.returncode} (1: some are bad)")
    print(f"seconds: {samples[-1][0]:.1f}, of them {running[0][0]:.1f} before the first answer")
    print(f"memory: {running[0][2]['rss'] / MB:.1f} MB at the first answer, {last['rss'] / MB:.1f} MB at the end, "
          f"{last['peak'] / MB:.1f} MB at most")
    print("answers a second, by tenths: " + ", ".join("-" if r is None else f"{r:.0f}" for r in rates))
    print(f"threads: {first['threads']}, at the end {last['threads']}; "
          f"descriptors: {first['descriptors']}, at the end {last['descriptors']}")
    bound = running[0][2]["rss"] + 100 * o.n + 64 * MB
    wrong = []
    if process.returncode != 1 or n_lines != o.n:
        wrong.append("answers are missing:\n" + said[-2000:])
    if last["peak"] > bound:
        wrong.append(f"expected at most {bound / MB:.1f} MB")
    assembling = 2 if o.text else 0  # OUT.part, read from its beginning, and OUT
    if last["threads"] > first["threads"] or last["descriptors"] > first["descriptors"] + assembling:
        wrong.append("threads or descriptors leak")
    for line in wrong:
        print("load.py:", line, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
