#!/usr/bin/env python3
"""check_includes.py: fails when an include points the wrong way, a file is too long, or lacks its name in line 1.

    check_includes.py               check the tree that this script stands in
    check_includes.py --self-test   check the checker, on small trees made up for it
"""
import os
import re
import sys
import tempfile

# Who may include whom: the first row whose pattern matches a file holds. "own" is the file's folder under src/, with
# its subfolders; None is anything. System headers (<...>) are free unless a third entry says which ones are allowed.
RULES = [
    (r"[^/]+\.(cpp|h)", [r"include/[^/]+\.h"]),
    (r"include/gpu/.+", [r"include/.+", r"tests/emu/.+"]),  # the emulated device's toolchain
    (r"include/.+", [r"include/[^/]+\.h"], r"[a-z0-9_]+|fmt/.+"),
    (r"src/base/.+", [r"include/(error|bf16|log|utf8_stream)\.h", "own"]),
    (r"src/kernels/.+", [r"include/gpu/.+", r"include/(bf16|kv_page)\.h", r"src/base/random\.h", "own"]),
    (r"src/gpu/.+", [r"include/[^/]+\.h", r"include/gpu/(runtime|platform)\.h", r"src/kernels/kernels\.h",
                     r"src/engine/(gpus|even_spans)\.h", "own"]),
    (r"src/engine/.+", [r"include/[^/]+\.h", r"src/base/.+", r"src/cpu/cpu_replica\.h", "own"]),
    (r"src/serve/.+", [r"include/[^/]+\.h", r"src/base/.+", r"src/requests/.+", "own"]),
    (r"src/[^/]+/.+", [r"include/[^/]+\.h", r"src/base/.+", "own"]),
    (r"(tests|tools)/.+", None),
]

# Words of a GPU vendor, and the only places for them.
VENDOR_WORDS = re.compile(r"\b(?:cuda|hip)\w*|\b__(?:gfx|hip|cuda)\w*", re.IGNORECASE)
VENDOR_PLACES = re.compile(r"include/gpu/|src/kernels/|src/gpu/runtime\.hip|tests/emu/")

# The first line (the second, after #!) says "name: what the file is".
OPENINGS = {".cpp": "// ", ".h": "// ", ".mjs": "// ", ".hip": "// ", ".sh": "# ", ".py": '"""'}
LINES_WARN, LINES_FAIL = 400, 600
SKIPPED_FOLDERS = re.compile(r"build|demo|tests/[^/]+/(node_modules|out)|tests/fuzz/corpus|(.*/)?\.[^/]*")

CODE = (".cpp", ".h", ".hip")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^(]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"' + r"|'(?:\\.|[^'\\\n])'", re.DOTALL
)


def source_files(root):
    """Paths of all source files, relative to root, sorted."""
    found = []
    for folder, subfolders, names in os.walk(root):
        here = os.path.relpath(folder, root)
        subfolders[:] = [s for s in subfolders if not SKIPPED_FOLDERS.fullmatch(os.path.normpath(f"{here}/{s}"))]
        found += [os.path.normpath(f"{here}/{n}") for n in names if os.path.splitext(n)[1] in OPENINGS]
    return sorted(found)


def resolve(name, includer, files):
    """The file that `#include "name"` in `includer` means; None if there is none."""
    for folder in (os.path.dirname(includer), "include", "src", "tests"):
        path = os.path.normpath(os.path.join(folder, name))
        if path in files:
            return path
    return None


def forbidden(includer, path):
    """Whether the rules forbid `includer` to include `path`; also when no rule speaks of `includer`."""
    allowed = next((rule[1] for rule in RULES if re.fullmatch(rule[0], includer)), [])
    if allowed is None:
        return False
    own = re.escape("/".join(includer.split("/")[:2])) + "/.+"  # src/cpu/ for src/cpu/f32/avx2.cpp
    return not any(re.fullmatch(own if pattern == "own" else pattern, path) for pattern in allowed)


def system_header_forbidden(includer, name):
    rule = next((rule for rule in RULES if re.fullmatch(rule[0], includer)), ())
    return len(rule) == 3 and not re.fullmatch(rule[2], name)


def cycles(graph):
    """One message for each include that closes a cycle."""
    state, messages = {}, []

    def visit(file, way):
        state[file] = "open"
        for included in graph.get(file, []):
            if state.get(included) == "open":
                messages.append("cycle: " + " -> ".join(way[way.index(included):] + [included]))
            elif included not in state:
                visit(included, way + [included])
        state[file] = "done"

    for file in graph:
        if file not in state:
            visit(file, [file])
    return messages


def check(root):
    """What is wrong in the tree, and what is only long: two lists of messages."""
    files, errors, warnings, graph = source_files(root), [], [], {}
    for file in files:
        with open(os.path.join(root, file), encoding="utf-8") as f:
            text = f.read()
        lines = text.splitlines()
        extension = os.path.splitext(file)[1]

        first = lines[1 if lines and lines[0].startswith("#!") else 0:][:1]
        opening = OPENINGS[extension] + os.path.basename(file) + ": "
        if not first or not first[0].startswith(opening):
            errors.append(f"{file}: expected its first line to begin with {opening!r}, found {''.join(first)[:60]!r}")
        if len(lines) > LINES_FAIL:
            errors.append(f"{file}: expected at most {LINES_FAIL} lines, found {len(lines)}")
        elif len(lines) > LINES_WARN:
            warnings.append(f"{file}: {len(lines)} lines; {LINES_WARN} are easier to read")
        if extension not in CODE:
            continue

        graph[file] = []
        for quoted, system in INCLUDE.findall(text):
            path = resolve(quoted, file, files) if quoted else None
            if quoted and not path:
                errors.append(f'{file}: includes "{quoted}", which is no file of this project; write <{quoted}>?')
            elif path and forbidden(file, path):
                errors.append(f"{file}: may not include {path}")
            elif system and resolve(system, file, files):
                errors.append(f'{file}: includes <{system}>, a file of this project; write "{system}"')
            elif system and system_header_forbidden(file, system):
                errors.append(f"{file}: may include headers of C++ and fmt only, found <{system}>")
            if path:
                graph[file].append(path)

        vendor = VENDOR_WORDS.search(COMMENT_OR_STRING.sub(" ", INCLUDE.sub(lambda m: m[2] or "", text)))
        if vendor and not VENDOR_PLACES.match(file):
            errors.append(f"{file}: names a GPU vendor's thing, {vendor[0]!r}; only include/gpu and src/kernels may")
    return errors + cycles(graph), warnings


GOOD_TREE = {
    "run.cpp": '#include "model.h"\n#include <unistd.h>\n',
    "include/model.h": '#include "bf16.h"\n#include <vector>\n#include <fmt/core.h>\n',
    "include/bf16.h": "#include <cstdint>\n",
    "include/error.h": "",
    "src/base/file.h": '#include "error.h"\n',
    "src/model/open.cpp": '#include "model/open.h"\n#include "base/file.h"\n#include <nlohmann/json.hpp>\n',
    "src/model/open.h": '#include "model.h"\n',
    "src/cpu/cpu_replica.h": '#include "model.h"\n// hipMalloc, said in a comment\n',
    "src/engine/engine.cpp": '#include "cpu/cpu_replica.h"\nchar q = \'"\'; const char* s = "cudaMalloc";\nint ship;\n',
    "tests/test_open.cpp": '#include "model/open.h"\n#include "noise.h"\n',
    "tests/noise.h": "",
    "tools/make.py": "",
    "go.sh": "",
}
# What is put in place of a good file, and what must be said of it.
BAD_FILES = [
    ("run.cpp", '#include "model/open.h"\n', "may not include src/model/open.h"),
    ("include/model.h", '#include "base/file.h"\n', "may not include src/base/file.h"),
    ("include/model.h", "#include <unistd.h>\n", "C++ and fmt only, found <unistd.h>"),
    ("include/model.h", "#include <nlohmann/json.hpp>\n", "C++ and fmt only"),
    ("src/base/file.h", '#include "model.h"\n', "may not include include/model.h"),
    ("src/model/open.h", '#include "cpu/cpu_replica.h"\n', "may not include src/cpu/cpu_replica.h"),
    ("src/engine/engine.cpp", '#include "model/open.h"\n', "may not include src/model/open.h"),
    ("src/model/open.h", '  #  include "../cpu/cpu_replica.h"\n', "may not include src/cpu/cpu_replica.h"),
    ("src/model/open.h", '#include "../../tests/noise.h"\n', "may not include tests/noise.h"),
    ("src/loose.cpp", '#include "model.h"\n', "may not include include/model.h"),
    ("src/model/open.h", '#include "nowhere.h"\n', "no file of this project"),
    ("src/model/open.h", "#include <model.h>\n", "a file of this project; write"),
    ("include/bf16.h", '#include "model.h"\n', "cycle: include/bf16.h -> include/model.h -> include/bf16.h"),
    ("tests/noise.h", '#include "noise.h"\n', "cycle: tests/noise.h -> tests/noise.h"),
    ("src/cpu/cpu_replica.h", "int n = hipGetDevice();\n", "'hipGetDevice'"),
    ("src/cpu/cpu_replica.h", "#include <cuda_runtime.h>\n", "'cuda_runtime'"),
    ("src/cpu/cpu_replica.h", "#ifdef __gfx90a__\n#endif\n", "'__gfx90a__'"),
    ("tests/noise.h", "\n" * 600, "at most 600 lines, found 601"),
]


def self_test():
    """Checks GOOD_TREE, then GOOD_TREE with each bad file in it: exactly that error is expected. Returns failures."""
    failures = []

    def expect(what, files, expected, opening=True):
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                start = OPENINGS[os.path.splitext(path)[1]] + os.path.basename(path) + ": made up\n"
                with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                    f.write((start if opening else "") + text)
            errors = check(root)[0]
        if len(errors) != len(expected) or not all(e in m for e, m in zip(expected, errors)):
            failures.append(f"{what}: expected {expected}, found {errors}")

    expect("good tree", GOOD_TREE, [])
    for path, text, message in BAD_FILES:
        expect(f"{path} with {text[:40]!r}", {**GOOD_TREE, path: text}, [message])
    expect("no first line", {"a.cpp": "", "b.sh": "#!/bin/sh\n# c.sh: another name\n"}, ["found ''", "'# c.sh"], False)
    expect("first line after #!", {"b.sh": "#!/bin/sh\n# b.sh: fine\n"}, [], False)
    skipped = ["build/a.h", "demo/a.h", ".git/a.h", "src/.x/a.h", "tests/peers/out/a.mjs", "tests/fuzz/corpus/a.h"]
    expect("folders that are not ours", {path: "" for path in skipped}, [], False)
    expect("but one of the same name elsewhere is", {"tools/demo/a.py": ""}, ["tools/demo/a.py"], False)
    expect("600 lines", {"a.h": "\n" * 599}, [])
    expect("vendor word in its place", {"include/gpu/platform.h": "#include <hip/hip_runtime.h>\n"}, [])
    return failures


def main():
    if sys.argv[1:] not in ([], ["--self-test"]):
        sys.exit(__doc__)
    if sys.argv[1:]:
        errors, warnings = self_test(), []
    else:
        errors, warnings = check(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for message in warnings:
        print("note:", message)
    for message in errors:
        print("error:", message)
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
