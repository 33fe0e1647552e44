#!/usr/bin/env python3
"""check_style.py: fails on long lines, long functions, and subjects of commits that break CONTRIBUTING.md's rules.

    check_style.py                  the tree that this script stands in, and the commits since origin's main, if any
    check_style.py --exports BUILD  free functions that no other file calls; BUILD: where `make tests` built
    check_style.py --self-test      check the checker, on small texts made up for it
"""
import os
import re
import subprocess
import sys

MAX_COLUMNS, MAX_FUNCTION_LINES, MAX_SUBJECT = 120, 60, 60
CODE = (".cpp", ".h", ".hip", ".mjs", ".sh", ".py")
PROSE = (".md",)
SKIPPED = re.compile(r"(demo|tests/golden|tests/fuzz/corpus)/.*|tests/[^/]+/(node_modules|out)/.*")

# A function may be longer than MAX_FUNCTION_LINES if a comment line right above it, or above its first line inside,
# says why with these words.
EXEMPT = "long because"

# What opens a block and is no function.
NOT_A_FUNCTION = re.compile(
    r"\s*(namespace|struct|class|union|enum|extern|if|else|for|while|switch|do|try|case|default|#|\})\b|.*[=,]\s*\{$")
SUBJECT = re.compile(r"[a-z0-9_]+(, [a-z0-9_]+)*: \S.*")


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def tracked_files(root):
    names = output_of("git", "-C", root, "ls-files", "-co", "--exclude-standard")
    return [n for n in names.splitlines() if not SKIPPED.fullmatch(n) and os.path.isfile(os.path.join(root, n))]


def long_lines(name, lines):
    """One message for each line that is too wide. In prose, tables, links and indented examples may be."""
    prose = name.endswith(PROSE)
    for i, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS and not (prose and (line.startswith(("|", "    ", "!")) or "](" in line)):
            yield f"{name}:{i}: expected at most {MAX_COLUMNS} columns, found {len(line)}"


def functions(lines):
    """(first line, number of lines, may be long) of each function of clang-formatted C++, line numbers from 1."""
    i = 0
    while i < len(lines):
        begin = i
        if lines[i].endswith("{") and ")" in lines[i]:  # the parameter list may have begun some lines before
            while begin > 0 and sum(l.count("(") - l.count(")") for l in lines[begin:i + 1]) < 0:
                begin -= 1
        indent = len(lines[begin]) - len(lines[begin].lstrip())
        head = " ".join(lines[begin:i + 1])
        if not lines[i].endswith("{") or "(" not in head or indent > 4 or NOT_A_FUNCTION.match(head):
            i += 1
            continue
        close = " " * indent + "}"
        end = next((j for j in range(i + 1, len(lines)) if lines[j].rstrip(";") == close), i)
        around = lines[max(0, begin - 3):begin] + lines[i + 1:i + 3]
        yield begin + 1, end - begin + 1, any(EXEMPT in l for l in around)
        i = max(end, i) + 1


def long_functions(name, lines):
    for first, n, exempt in functions(lines):
        if n > MAX_FUNCTION_LINES and not exempt:
            yield f"{name}:{first}: expected a function of at most {MAX_FUNCTION_LINES} lines, found {n}"


def bad_subjects(subjects):
    for subject in subjects:
        if len(subject) > MAX_SUBJECT:
            yield f"commit \"{subject}\": expected at most {MAX_SUBJECT} characters, found {len(subject)}"
        elif not SUBJECT.fullmatch(subject):
            yield f"commit \"{subject}\": expected \"area: what it does\""


def new_subjects(root):
    """Subjects of the commits that origin's main lacks; none where there is no such branch."""
    known = output_of("git", "-C", root, "branch", "--remotes", "--list", "origin/main").strip()
    return output_of("git", "-C", root, "log", "--no-merges", "--format=%s", f"{known}..").splitlines() if known else []


def check(root):
    errors = list(bad_subjects(new_subjects(root)))
    for name in tracked_files(root):
        if not name.endswith(CODE + PROSE) and name != "Makefile":
            continue
        with open(os.path.join(root, name), encoding="utf-8") as f:
            lines = f.read().splitlines()
        errors += long_lines(name, lines)
        if name.endswith((".cpp", ".h", ".hip")):
            errors += long_functions(name, lines)
    return errors


def symbols(objects, flag):
    """(object, kind, symbol) of what nm lists with the flag; all objects at once, since starting nm takes longest."""
    for line in output_of("nm", "-A", flag, *objects).splitlines():
        path, _, rest = line.partition(":")
        yield path, rest.split()[-2], rest.split()[-1]


def unused_exports(build):
    """Free functions of the program's objects that no other object, tests included, refers to. Not members: private
    ones are exported too."""
    objects = [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(build, "obj"))
               for name in names if name.endswith(".o")]
    wanted = {symbol for _, _, symbol in symbols(objects, "-u")}
    for path, kind, symbol in symbols(objects, "--defined-only"):
        of_program = "/obj/tests/" not in path and "/obj/tools/" not in path
        if of_program and kind == "T" and re.match(r"_Z\d", symbol) and symbol not in wanted:
            yield path, symbol


def self_test():
    body = ["    x();"] * 59
    assert not list(long_functions("a.cpp", ["int f(int a) {", *body[:58], "}"]))
    assert list(long_functions("a.cpp", ["int f(int a,", "      int b) {", *body, "}"])) == [
        "a.cpp:1: expected a function of at most 60 lines, found 62"]
    assert not list(long_functions("a.cpp", ["// long because it is a table", "int f() {", *body, "}"]))
    assert not list(long_functions("a.cpp", ["struct A {", *body, "};", "namespace {", *body, "}"]))
    assert list(long_functions("a.h", ["struct A {", "    int f() const {", *["        x();"] * 60, "    }", "};"]))
    assert list(long_lines("a.md", ["x" * 121])) and not list(long_lines("a.md", ["| " + "x" * 121, "ä" * 120]))
    assert list(long_lines("a.cpp", ["    " + "x" * 117]))
    assert not list(bad_subjects(["cpu: a folder for each way of computing products", "docs, tests: both"]))
    assert len(list(bad_subjects(["no area", "cpu: " + "x" * 60, "cpu:no space"]))) == 3


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) == 3 and sys.argv[1] == "--exports":
        messages = [f"{path}: {symbol}" for path, symbol in unused_exports(sys.argv[2])]
    else:
        messages = check(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for message in messages:
        print(message)
    sys.exit(1 if messages else 0)


if __name__ == "__main__":
    main()
