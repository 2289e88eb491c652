"""The PTX of each kernel of the projections, and what it takes of a device; needs Triton, and no device."""

import re
import subprocess
from functools import cache
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from baselines.triton_ import active_set, isotonic, knapsack, level

FUNCTIONS = {
    "active_set": active_set._solve,
    "levels": level._levels,
    "points": level._points,
    "knapsack": knapsack._nearest,
    "isotonic": isotonic._pool,
}
TILE = {"SAMPLES": level.SAMPLES}
# Triton makes a constant of an integer that is 1.
KERNELS = {
    "active_set": [
        {"ROWS": 16, "TWO_SIDED": True, "m": 1},
        *(
            {"ROWS": rows, "TWO_SIDED": two, **active_set.launch(rows)}
            for rows in (16, 32, 64, 128)
            for two in (False, True)
        ),
    ],
    "levels": [
        {**TILE, "TERMS": level.TERMS, "ROWS": rows, "y": y} for rows in (16, 128) for y in ("*fp32", "*fp64")
    ]
    + [{**TILE, "TERMS": level.TERMS, "ROWS": 16, "m": 1, "n": 1, "batch": 1, "y": "*fp32"}],
    "points": [
        {**TILE, "FEATURES": level.FEATURES, "ROWS": 16, "m": 1, "batch": 1},
        {**TILE, "FEATURES": level.FEATURES, "ROWS": 16},
        {**TILE, "FEATURES": level.FEATURES, "ROWS": 128, "num_warps": 16},
    ],
    "knapsack": [
        {"SLOTS": 16, "rows": 1, "num_warps": 1},
        *({"SLOTS": slots, "num_warps": max(1, slots // 128)} for slots in (64, 1024)),
    ],
    "isotonic": [
        {"LANES": isotonic.LANES, "num_warps": 1},
        {"LANES": isotonic.LANES, "num_warps": 1, "batch": 1},
    ],
}
INTEGERS = {"batch", "n", "m", "rows", "slots", "stride"}
NARROW = {"y", "x"}
OTHERS = {"index": "*i64"}


@cache
def compiled(name: str, options: frozenset, capability: int = 90, aligned: bool = True) -> str:
    """The PTX."""
    function, options = FUNCTIONS[name], dict(options)
    launch = {name: options.pop(name, None) for name in ("num_warps", "maxnreg")}
    given = options.pop("y", None)
    signature = {argument: kind(name, argument, options) for argument in function.arg_names}
    if given is not None:
        signature["y"] = given
    # As for memory from torch, and sizes that are multiples of 16: loads are made wider then.
    places = [i for i, argument in enumerate(function.arg_names) if argument not in options]
    attributes = {(i,): [["tt.divisibility", 16]] for i in places if aligned}
    source = ASTSource(fn=function, signature=signature, constexprs=options, attrs=attributes)
    target = GPUTarget("cuda", capability, 32)
    return triton.compile(
        source, target=target, options={name: value for name, value in launch.items() if value}
    ).asm["ptx"]


def kind(name: str, argument: str, options: dict) -> str:
    if argument in options:
        return "constexpr"
    if name == "points" and argument == "rows":
        return "*fp32"
    if argument in INTEGERS and not (name == "levels" and argument == "rows"):
        return "i32"
    return OTHERS.get(argument, "*bf16" if argument in NARROW else "*fp64")


def spilled(ptx: str, folder: Path) -> int:
    """Bytes that a thread stores outside its registers, by the assembler that Triton brings along."""
    (source := folder / "kernel.ptx").write_text(ptx)
    architecture = re.search(r"\.target (sm_\w+)", ptx)
    assert architecture is not None
    assembler = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
    command = [assembler, "-v", f"-arch={architecture[1]}", source, "-o", folder / "kernel.cubin"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return max(int(count) for count in re.findall(r"(\d+) bytes spill stores", done.stderr))
