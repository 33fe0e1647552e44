#!/usr/bin/env python3
"""isa_report.py: what kernels cost on AMD devices, read from the code objects in compiled files: a Markdown table.

--check fails on scratch memory or spills in any kernel, on function calls, on flat loads and stores (they wait for LDS,
too), and on a matrix product or attention without matrix instructions. --self-test uses small listings made up for it.

Needs llvm-readelf, llvm-objdump and llvm-cxxfilt (Debian: llvm-19). Columns:

    VGPR, AGPR, SGPR     registers of one lane (vector) or one wave (scalar), as the code object asks for them
    LDS                  bytes of static arrays; what a launch adds is not in a code object
    scratch, spills      bytes of a lane; registers that did not fit
    waves                that fit on a SIMD by registers and static LDS: waves_per_simd()
    matrix ... bytes     the inner loop: its instructions by kind, its code. Load and store are global, buffer or flat;
                         an atomic is a store. If the kernel has matrix instructions: the innermost of the loops that
                         have any, the one with most; else the innermost loop with the most accesses to memory. All
                         that a turn may execute is counted, also what it may skip.
"""
import argparse
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from typing import NamedTuple

from isa_report_loops import Loop, count, inner_loop, kind, parse_code

MATRIX_KERNEL = re.compile(r"gemm|qkv|moe_up|moe_down|attention")
NOT_MATRIX_KERNEL = re.compile(r"merge|sort|pack")


class Chip(NamedTuple):
    """What limits the waves of a SIMD. Four SIMDs share an LDS: a compute unit, on gfx11 two of them."""

    vgprs: int  # of a SIMD, for one lane
    granule: int  # VGPRs are given out in steps of this
    max_waves: int
    lds_bytes: int


CHIPS = {
    "gfx90a": Chip(512, 8, 8, 64 << 10),
    "gfx942": Chip(512, 8, 8, 64 << 10),
    "gfx1100": Chip(1536, 24, 16, 128 << 10),
    "gfx1151": Chip(1536, 24, 16, 128 << 10),
}


class Kernel(NamedTuple):
    name: str
    target: str
    vgprs: int
    agprs: int
    sgprs: int
    lds: int
    scratch: int
    spills: int
    waves: int
    n_matrix: int  # in the whole kernel
    n_calls: int
    n_flat: int
    loop: Loop  # None: no loop


# ---- files to code objects ----

BUNDLE = b"__CLANG_OFFLOAD_BUNDLE__"
ELF = b"\x7fELF"
MACHINE_AMDGPU = 224


def code_objects(data):
    """The code objects for AMD devices in a file: the file itself, or all that the bundles in it hold."""
    if data[:4] == ELF and struct.unpack_from("<H", data, 18)[0] == MACHINE_AMDGPU:
        return [data]
    found, start = [], data.find(BUNDLE)
    while start >= 0:
        (n_entries,) = struct.unpack_from("<Q", data, start + 24)
        at = start + 32
        for _ in range(n_entries):
            offset, size, id_size = struct.unpack_from("<QQQ", data, at)
            target = data[at + 24:at + 24 + id_size]
            if b"amdgcn" in target and size:
                found.append(data[start + offset:start + offset + size])
            at += 24 + id_size
        start = data.find(BUNDLE, at)
    return found


def run_tool(name, *arguments, text=None):
    """What an LLVM tool prints."""
    command = next(filter(None, (shutil.which(name + version) for version in ("-19", ""))), None)
    if not command:
        sys.exit(f"isa_report.py: no {name}; install Debian's package llvm-19")
    done = subprocess.run([command, *arguments], input=text, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"isa_report.py: {name}: {done.stderr.strip()}")
    return done.stdout


# ---- listings to kernels ----


def parse_notes(notes):
    """`llvm-readelf --notes`: the target and, by symbol, the numbers that each kernel asks for."""
    target = re.search(r"^amdhsa\.target:\s+\S*?-(gfx\w+)", notes, re.MULTILINE)[1]
    kernels = {}
    entries = notes.split("amdhsa.kernels:")[1].split("amdhsa.target:")[0]
    for entry in re.split(r"^  - ", entries, flags=re.MULTILINE)[1:]:
        values = dict(re.findall(r"^(?:    )?\.(\w+):\s+(\S+)$", entry, re.MULTILINE))
        kernels[values.pop("name")] = {k: int(v) for k, v in values.items() if v.isdigit()}
    return target, kernels


def waves_per_simd(target, vgprs, sgprs, lds, block):
    """Waves of 64 lanes (gfx11: 32) that fit on a SIMD; vgprs with AGPRs, block in waves."""
    chip = CHIPS[target]
    waves = min(chip.max_waves, chip.vgprs // (-(-max(vgprs, 1) // chip.granule) * chip.granule))
    if target.startswith("gfx9"):
        waves = min(waves, 8 if sgprs <= 100 else 7)  # 800 a SIMD; gfx11 gives every wave all it may use
    if lds:
        waves = min(waves, max(1, chip.lds_bytes // lds * block // 4))
    return waves


def short_name(name):
    """A demangled name without namespace, result and arguments."""
    name = name.replace("(anonymous namespace)::", "")
    depth = 0
    for at, c in enumerate(name):
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0:
            name = name[:at]
            break
    return re.sub(r"^void ", "", name).replace("_kernel", "", 1)


def kernels_of(notes, listing, demangle):
    """All kernels of a code object; demangle: list of names to list of names."""
    target, asked = parse_notes(notes)
    code = parse_code(listing)
    kernels = []
    for (symbol, values), name in zip(asked.items(), demangle(list(asked))):
        all_of_it, loop = count(code[symbol]), inner_loop(code[symbol])
        agprs, total = values.get("agpr_count", 0), values["vgpr_count"]
        block = -(-values["max_flat_workgroup_size"] // values["wavefront_size"])
        kernels.append(
            Kernel(
                name=short_name(name),
                target=target,
                vgprs=total - agprs,
                agprs=agprs,
                sgprs=values["sgpr_count"],
                lds=values["group_segment_fixed_size"],
                scratch=values["private_segment_fixed_size"],
                spills=values["vgpr_spill_count"] + values["sgpr_spill_count"],
                waves=waves_per_simd(target, total, values["sgpr_count"], values["group_segment_fixed_size"], block),
                n_matrix=all_of_it.n_matrix,
                n_calls=sum(i.name.startswith("s_swappc") for i in code[symbol]),
                n_flat=sum(i.name.startswith("flat_") for i in code[symbol]),
                loop=loop,
            )
        )
    return kernels


def read_file(path):
    """All kernels in a compiled file."""
    with open(path, "rb") as f:
        contents = f.read()
    kernels = []
    for data in code_objects(contents):
        with tempfile.NamedTemporaryFile(suffix=".elf") as f:
            f.write(data)
            f.flush()
            notes, listing = run_tool("llvm-readelf", "--notes", f.name), run_tool("llvm-objdump", "-d", f.name)
        if ".name:" in notes:
            kernels += kernels_of(notes, listing, lambda n: run_tool("llvm-cxxfilt", text="\n".join(n)).splitlines())
    return kernels


# ---- what is said of them ----

COLUMNS = "kernel target VGPR AGPR SGPR LDS scratch spills waves matrix LDS-ops load store VALU SALU bytes".split()


def table(kernels):
    lines = ["| " + " | ".join(COLUMNS) + " |", "|:--|:--|" + "--:|" * (len(COLUMNS) - 2)]
    for k in kernels:
        cells = [f"`{k.name}`", k.target, k.vgprs, k.agprs, k.sgprs, k.lds, k.scratch, k.spills, k.waves]
        cells += k.loop or ["–"] * len(Loop._fields)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def faults(kernels):
    messages = []
    for k in kernels:
        where = f"{k.name} on {k.target}: "
        if k.scratch or k.spills:
            messages.append(where + f"expected no scratch memory, found {k.scratch} bytes and {k.spills} spills")
        if k.n_calls:
            messages.append(where + f"expected all functions inlined, found {k.n_calls} calls")
        if k.n_flat:
            messages.append(where + f"expected loads and stores that know their memory, found {k.n_flat} flat ones")
        if MATRIX_KERNEL.search(k.name) and not NOT_MATRIX_KERNEL.search(k.name) and not k.n_matrix:
            messages.append(where + "expected matrix instructions, found none")
    return messages


# ---- self-test ----

NOTES = """\
Displaying notes found in: .note
    AMDGPU Metadata:
        ---
amdhsa.kernels:
  - .agpr_count:     32
    .args:
      - .offset:         0
        .size:           8
        .value_kind:     by_value
    .group_segment_fixed_size: 16384
    .language_version:
      - 2
      - 0
    .max_flat_workgroup_size: 256
    .name:           _Z4gemm
    .private_segment_fixed_size: 0
    .sgpr_count:     40
    .sgpr_spill_count: 0
    .symbol:         _Z4gemm.kd
    .vgpr_count:     96
    .vgpr_spill_count: 0
    .wavefront_size: 64
  - .args:
      - .offset:         0
    .group_segment_fixed_size: 0
    .max_flat_workgroup_size: 1024
    .name:           _Z5merge
    .private_segment_fixed_size: 48
    .sgpr_count:     20
    .sgpr_spill_count: 1
    .vgpr_count:     9
    .vgpr_spill_count: 2
    .wavefront_size: 64
amdhsa.target:   amdgcn-amd-amdhsa--gfx90a
amdhsa.version:
  - 1
  - 1
...
"""
# gemm: an outer loop from 1104, in it one with a matrix instruction from 110c, in that one without from 1114. A part of
# the middle one stands behind the kernel's end.
LISTING = """
x.elf:	file format elf64-amdgpu

Disassembly of section .text:

0000000000001000 <_Z5merge>:
	s_load_dwordx2 s[0:1], s[4:5], 0x0                         // 000000001000: C0060002 00000000
	s_getpc_b64 s[6:7]                                         // 000000001008: BE861C00
	s_swappc_b64 s[30:31], s[6:7]                              // 00000000100C: BE9E1E06
	s_endpgm                                                   // 000000001010: BF810000

0000000000001100 <_Z4gemm>:
	s_cbranch_scc1 16                                          // 000000001100: BF850010 <_Z4gemm+0x44>
	global_load_dwordx4 v[0:3], v4, s[0:1]                     // 000000001104: DC5C8000 00000004
	v_mfma_f32_16x16x16_bf16_1k a[0:3], v[0:1], v[2:3], a[0:3] // 00000000110C: D3E78000 04020500
	ds_read_b128 v[0:3], v5                                    // 000000001114: D9FE0000 00000005
	s_waitcnt lgkmcnt(0)                                       // 00000000111C: BF8CC07F
	v_add_u32_e32 v5, 16, v5                                   // 000000001120: 680A0A90
	s_cbranch_scc0 65531                                       // 000000001124: BF84FFFB <_Z4gemm+0x14>
	s_cbranch_vccz 7                                           // 000000001128: BF860007 <_Z4gemm+0x48>
	s_cbranch_scc0 2                                           // 00000000112C: BF840002 <_Z4gemm+0x38>
	s_add_i32 s2, s2, 1                                        // 000000001130: 81028102
	s_branch 65525                                             // 000000001134: BF82FFF5 <_Z4gemm+0xc>
	global_store_dwordx4 v4, v[0:3], s[0:1]                    // 000000001138: DC7C8000 00000004
	s_cbranch_scc0 65520                                       // 000000001140: BF84FFF0 <_Z4gemm+0x4>
	s_endpgm                                                   // 000000001144: BF810000
	v_add_u32_e32 v5, 16, v5                                   // 000000001148: 680A0A90
	s_branch 65528                                             // 00000000114C: BF82FFF8 <_Z4gemm+0x30>
"""


def self_test():
    """Checks the parsers on NOTES and LISTING, and on a bundle around an empty code object. Returns failures."""
    failures = []

    def expect(what, found, expected):
        if found != expected:
            failures.append(f"{what}: expected {expected}, found {found}")

    names = {
        "_Z4gemm": "void (anonymous namespace)::gemm_kernel<(anonymous namespace)::Qkv, 2, (Mode)1>(int, A<B>)",
        "_Z5merge": "merge_kernel(float*)",
    }
    gemm, merge = kernels_of(NOTES, LISTING, lambda symbols: [names[s] for s in symbols])
    expect("loop", gemm.loop, Loop(n_matrix=1, n_lds=1, n_load=0, n_store=0, n_valu=2, n_salu=6, n_bytes=52))
    expect("matrix kernel", gemm[:-1], ("gemm<Qkv, 2, (Mode)1>", "gfx90a", 64, 32, 40, 16384, 0, 0, 4, 1, 0, 0))
    expect("other kernel", merge, Kernel("merge", "gfx90a", 9, 0, 20, 0, 48, 3, 8, 0, 1, 0, None))
    row = "| `gemm<Qkv, 2, (Mode)1>` | gfx90a | 64 | 32 | 40 | 16384 | 0 | 0 | 4 | 1 | 1 | 0 | 0 | 2 | 6 | 52 |"
    expect("row", table([gemm]).splitlines()[-1], row)

    expect("no fault", faults([gemm, merge._replace(scratch=0, spills=0, n_calls=0)]), [])
    expect("flat", len(faults([gemm._replace(n_flat=2)])), 1)
    found = [message.split("found ")[1] for message in faults([merge, gemm._replace(n_matrix=0)])]
    expect("faults", found, ["48 bytes and 3 spills", "1 calls", "none"])

    for target, vgprs, sgprs, lds, block, waves in [
        ("gfx90a", 64, 40, 0, 16, 8),
        ("gfx90a", 65, 40, 0, 16, 7),
        ("gfx90a", 0, 104, 0, 16, 7),
        ("gfx90a", 512, 40, 0, 4, 1),
        ("gfx942", 128, 40, 65536, 4, 1),
        ("gfx1100", 96, 106, 0, 4, 16),
        ("gfx1100", 64, 20, 65536, 8, 4),
        ("gfx1151", 193, 20, 0, 4, 7),
    ]:
        found = waves_per_simd(target, vgprs, sgprs, lds, block)
        expect(f"waves of {target}, {vgprs} VGPRs, {sgprs} SGPRs, {lds} LDS, {block} a block", found, waves)

    for name, expected in [
        ("v_wmma_f32_16x16x16_bf16", "matrix"),
        ("v_dual_fmac_f32", "valu"),
        ("flat_load_dword", "load"),
        ("buffer_store_dword", "store"),
        ("global_atomic_add", "store"),
        ("s_load_dword", "other"),
        ("s_waitcnt", "other"),
        ("s_cbranch_scc0", "salu"),
        ("scratch_load_dword", "other"),
    ]:
        expect(name, kind(name), expected)

    code = ELF.ljust(18, b"\0") + struct.pack("<H", MACHINE_AMDGPU) + b"code"
    entries = [(b"host-x86_64-unknown-linux--", b""), (b"hipv4-amdgcn-amd-amdhsa--gfx90a", code)]
    bundle, body = BUNDLE + struct.pack("<Q", len(entries)), b""
    for target, content in entries:
        bundle += struct.pack("<QQQ", 4096 + len(body), len(content), len(target)) + target
        body += content
    bundle = bundle.ljust(4096, b"\0") + body
    expect("bare code object", code_objects(code), [code])
    expect("two bundles in a host's file", code_objects(ELF.ljust(99, b"\0") + bundle + b"host" + bundle), [code, code])
    expect("neither", code_objects(ELF.ljust(99, b"\0")), [])
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="fail on what no kernel may have")
    parser.add_argument("--only", metavar="REGEX", default="", help="show kernels whose name matches; all are checked")
    parser.add_argument("--self-test", action="store_true", help="check this script; needs no tool")
    parser.add_argument("files", nargs="*", help=".o of .hip files, programs, bare code objects; any targets")
    given = parser.parse_args()
    if given.self_test:
        messages = self_test()
    else:
        kernels = [k for path in given.files for k in read_file(path)]
        if not kernels:
            parser.error("expected kernels for AMD devices, found none")
        kernels.sort(key=lambda k: (k.name, list(CHIPS).index(k.target)))
        print(table([k for k in kernels if re.search(given.only, k.name)]))
        messages = faults(kernels) if given.check else []
    for message in messages:
        print("error:", message)
    sys.exit(1 if messages else 0)


if __name__ == "__main__":
    main()
