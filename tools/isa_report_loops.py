"""isa_report_loops.py: the instructions of kernels on AMD devices, by kind, and which of them are the inner loop."""
import re
from typing import NamedTuple


class Instruction(NamedTuple):
    address: int
    name: str
    n_bytes: int
    target: int  # of a branch; -1: none


class Loop(NamedTuple):
    n_matrix: int
    n_lds: int
    n_load: int
    n_store: int
    n_valu: int
    n_salu: int
    n_bytes: int


SYMBOL_LINE = re.compile(r"^[0-9a-f]{16} <(.+)>:$")
CODE_LINE = re.compile(r"^\t([a-z]\w+).*//\s*([0-9A-F]{12}): ([0-9A-F]{8}(?: [0-9A-F]{8})*)")


def parse_code(listing):
    """`llvm-objdump -d`: the instructions of each symbol."""
    functions = {}
    for line in listing.splitlines():
        if found := SYMBOL_LINE.match(line):
            here = functions[found[1]] = []
        elif found := CODE_LINE.match(line):
            name, address, code = found[1], int(found[2], 16), found[3].split()
            target = -1
            if name.startswith(("s_branch", "s_cbranch")):  # words from the next instruction, in the lower half
                words = int(code[0][4:], 16)
                target = address + 4 + 4 * (words - 0x10000 if words & 0x8000 else words)
            here.append(Instruction(address, name, 4 * len(code), target))
    return functions


NOT_ARITHMETIC = re.compile(r"s_(load|buffer|store|waitcnt|nop|sleep|clause|delay_alu|barrier|set_inst|endpgm|code_)")


def kind(name):
    """Which of a Loop's counts an instruction belongs to."""
    if re.match(r"v_(mfma|smfmac|wmma|swmmac)_", name):
        return "matrix"
    if name.startswith("ds_"):
        return "lds"
    if re.match(r"(global|buffer|flat)_", name):
        return "load" if "_load" in name else "store"
    if name.startswith("v_"):
        return "valu"
    return "other" if not name.startswith("s_") or NOT_ARITHMETIC.match(name) else "salu"


def count(instructions):
    kinds = [kind(i.name) for i in instructions]
    numbers = [kinds.count(k) for k in ("matrix", "lds", "load", "store", "valu", "salu")]
    return Loop(*numbers, sum(i.n_bytes for i in instructions))


def basic_blocks(instructions):
    """Runs of instructions that are always executed together, and for each the set of those that may come next."""
    targets, blocks, ended = {i.target for i in instructions}, [], True
    for i in instructions:
        if ended or i.address in targets:
            blocks.append([])
        blocks[-1].append(i)
        ended = i.target >= 0 or i.name.startswith(("s_endpgm", "s_setpc"))
    number = {block[0].address: n for n, block in enumerate(blocks)}
    following = []
    for n, block in enumerate(blocks):
        last = block[-1]
        following.append({number[last.target]} if last.target in number else set())
        if n + 1 < len(blocks) and not last.name.startswith(("s_branch", "s_endpgm", "s_setpc")):
            following[n].add(n + 1)
    return blocks, following


def cycles(following, nodes):
    """The largest sets of `nodes` in each of which every node can be reached from every other and from itself."""
    preceding, last_first, seen = {n: set() for n in nodes}, [], set()
    for n in nodes:
        for after in following[n] & nodes:
            preceding[after].add(n)
    for root in sorted(nodes):
        stack = [(root, None)]
        while stack:
            n, todo = stack.pop()
            if todo is None:
                if n in seen:
                    continue
                seen.add(n)
                todo = iter(sorted(following[n] & nodes))
            after = next(todo, None)
            if after is None:
                last_first.append(n)
            else:
                stack += [(n, todo), (after, None)]
    found, seen = [], set()
    for root in reversed(last_first):
        cycle, stack = set(), [root]
        while stack:
            n = stack.pop()
            if n not in seen:
                seen.add(n)
                cycle.add(n)
                stack += preceding[n]
        if len(cycle) > 1 or cycle & following[root]:
            found.append(cycle)
    return found


def inner_loop(instructions):
    """The loop that the table shows, or None."""
    blocks, following = basic_blocks(instructions)

    def has_matrix(cycle):
        return any(kind(i.name) == "matrix" for n in cycle for i in blocks[n])

    def innermost(nodes, wanted):
        found = []
        for cycle in filter(wanted, cycles(following, nodes)):
            entries = {after for n, afters in enumerate(following) if n not in cycle for after in afters & cycle}
            found += innermost(cycle - entries, wanted) or [cycle]
        return found

    everything = set(range(len(blocks)))
    found = innermost(everything, has_matrix) or innermost(everything, lambda cycle: True)
    loops = [count([i for n in sorted(cycle) for i in blocks[n]]) for cycle in found]
    return max(loops, key=lambda l: (l.n_matrix, l.n_lds + l.n_load + l.n_store, l.n_bytes), default=None)
