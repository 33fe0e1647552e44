#!/usr/bin/env python3
"""load.py: very many requests through one process of getp: does memory stay small, and nothing leak?

    load.py RUN MODEL [-n 1000000] [--text | --long] [--max-new 1] [-b 32]

Among N requests every tenth is bad, and three have 10 MB; as many empty lines stand between them. With --long they are
texts, all short but the first, which the demo model answers at great length. Prints memory, rates in tenths of the run,
descriptors and threads. The exit code is 1 if an answer is missing, if memory has grown by more than 100 bytes a
request and 64 MB, if there are more descriptors or threads at the end than after the first tenth, or if the long
request came to its end before nine tenths of the others had their answers on the disk.
Rates are printed and not judged: another program may have taken the cores. What the process took of them is the rate a
CPU second; with OMP_NUM_THREADS=1, no thread waits for others in that time. A core that shares its memory and its
frequency with busier ones does less in a CPU second: how much less says the time of a fixed piece of work, done beside
the run, by which that rate is divided.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
import zlib

MB = 1 << 20
LONG_LINE_BYTES = 10 * MB
LAST_LOOK_S = 5


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


def write_long(path, n):
    """The demo model continues the first for ever, and ends the others at once."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{n}\ne e e e\n" + "2\n" * (n - 1))


def steps_of_long(n, b):
    """Enough for the long answer to outlast the others: about three steps for each b of them."""
    return 200 + 4 * n // b


def status_of(pid):
    """Resident and peak memory in bytes, threads, descriptors, CPU time."""
    fields = {}
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            fields[name] = value.split()
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        times = file.read().rpartition(")")[2].split()[11:13]
    return {"cpu_s": sum(map(int, times)) / os.sysconf("SC_CLK_TCK"),
            "rss": int(fields["VmRSS"][0]) * 1024, "peak": int(fields["VmHWM"][0]) * 1024,
            "work_s": work_cpu_s(), "threads": int(fields["Threads"][0]),
            "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}


class Lines:
    """How many lines a growing file has by now."""
    def __init__(self, path):
        self.path, self.at, self.n = path, 0, 0
        self.seen_s = 0.0  # when the file was last there
        self.tail = b"\n"  # what precedes the bytes to be read: a line begins where the file does
        self.before_first = None  # how many stand before that of the first request: the text format's OUT.part

    def count(self):
        if os.path.exists(self.path):
            with open(self.path, "rb") as file:
                file.seek(self.at)
                self.seen_s = time.monotonic()
                while block := file.read(MB):
                    text = self.tail + block
                    if self.before_first is None and b"\n0 " in text:
                        before = text[:text.index(b"\n0 ") + 1].count(b"\n")
                        self.before_first = self.n + before - self.tail.count(b"\n")
                    self.n += block.count(b"\n")
                    self.at += len(block)
                    self.tail = text[-len(b"\n0"):]
        return self.n


def work_cpu_s():
    """CPU time of a fixed piece of work, some 5 ms: what the machine is worth at this moment."""
    block, start = bytes(range(256)) * 256, time.thread_time()
    for _ in range(60):
        zlib.crc32(zlib.compress(block[:4096]))
    return time.thread_time() - start


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


def rates_by_tenths(points, n):
    """Answers a second in each tenth of the answers; points: (seconds, answers)."""
    def when(answers):
        for (t0, n0), (t1, n1) in zip(points, points[1:]):
            if n0 <= answers <= n1 and n1 > n0:
                return t0 + (t1 - t0) * (answers - n0) / (n1 - n0)
        return None
    times = [when(max(n * i // 10, 1)) for i in range(10)] + [points[-1][0]]
    rates = [None if a is None or b is None or b <= a else n / 10 / (b - a) for a, b in zip(times, times[1:])]
    return ", ".join("-" if r is None else f"{r:.0f}" for r in rates)


def at_even_speed(running):
    """(CPU seconds of a core as fast as it was on average, answers)."""
    average = sum(s[2]["work_s"] for s in running) / len(running)
    points, seconds = [], 0.0
    for (_, _, before), (_, n_answers, now) in zip(running, running[1:]):
        seconds += (now["cpu_s"] - before["cpu_s"]) * average / now["work_s"]
        points.append((seconds, n_answers))
    return points


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("model")
    parser.add_argument("-n", type=int, default=1000000)
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--max-new", type=int, default=1)
    parser.add_argument("-b", default="32")
    o = parser.parse_args()
    is_text = o.text or o.long
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: os.path.join(folder, name) for name in ("in", "out", "log")}
        if o.long:
            write_long(paths["in"], o.n)
        elif o.text:
            write_text(paths["in"], o.n)
        else:
            write_json(paths["in"], o.n, o.max_new)
        command = [o.run, o.model, "-m", "getp", "-i", paths["in"], "-o", paths["out"], "-b", o.b, "-s", "1"]
        command += ["-n", str(steps_of_long(o.n, int(o.b)) if o.long else 8)] if is_text else []
        journal = Lines(paths["out"] + (".part" if is_text else ""))
        with open(paths["log"], "wb") as log:
            process = subprocess.Popen(command, stderr=log)
            samples = watch(process, journal, o.n)
            unseen_s = time.monotonic() - journal.seen_s
        n_lines = Lines(paths["out"]).count()
        with open(paths["log"], encoding="utf-8", errors="replace") as log:
            said = log.read()

    running = [s for s in samples if s[1] > 0]
    first = next((s for s in running if s[1] >= o.n // 10), running[0])[2]
    last = samples[-1][2]
    print(f"requests: {o.n}, answers: {n_lines}, exit code: {process.returncode}",
          "" if o.long else "(1: some are bad)")
    print(f"seconds: {samples[-1][0]:.1f}, of them {running[0][0]:.1f} before the first answer")
    print(f"memory: {running[0][2]['rss'] / MB:.1f} MB at the first answer, {last['rss'] / MB:.1f} MB at the end, "
          f"{last['peak'] / MB:.1f} MB at most")
    print("answers a second, by tenths: " + rates_by_tenths([(s[0], s[1]) for s in running], o.n))
    print("answers a CPU second, by tenths: " + rates_by_tenths([(s[2]["cpu_s"], s[1]) for s in running], o.n))
    print("the same at an even speed of the machine: " + rates_by_tenths(at_even_speed(running), o.n))
    print(f"threads: {first['threads']}, at the end {last['threads']}; "
          f"descriptors: {first['descriptors']}, at the end {last['descriptors']}")
    bound = running[0][2]["rss"] + 100 * o.n + 64 * MB
    wrong = []
    if o.long:
        # None: it came after the last look, which must have been close to the end and have missed some answer.
        if journal.before_first is None and (unseen_s > LAST_LOOK_S or journal.n == o.n):
            wrong.append(f"the long one's answer was not seen; the last look was {unseen_s:.1f} s before the end")
        n_before = journal.n if journal.before_first is None else journal.before_first
        print(f"answers on the disk before the long one's: at least {n_before}")
        if n_before < 0.9 * o.n:
            wrong.append("others were held back, or the long one was too short")
    if process.returncode != (0 if o.long else 1) or n_lines != o.n:
        wrong.append("answers are missing:\n" + said[-2000:])
    if last["peak"] > bound:
        wrong.append(f"expected at most {bound / MB:.1f} MB")
    assembling = 2 if is_text else 0  # OUT.part, read from its beginning, and OUT
    if last["threads"] > first["threads"] or last["descriptors"] > first["descriptors"] + assembling:
        wrong.append("threads or descriptors leak")
    for line in wrong:
        print("load.py:", line, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
