"""The PTX of each kernel for a device of compute capability 8.0; needs Triton, and no device."""

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from constrained.kernels.triton_ import _pull_and_move, _tall, half_spaces, move, refined

FUNCTIONS = {
    "move": move._forward,
    "move_backward": move._backward,
    "half_spaces": half_spaces._forward,
    "half_spaces_backward": half_spaces._backward,
    "half_spaces of many rows": _tall._forward,
    "half_spaces_backward of many rows": _tall._backward,
    "onto_hull": _tall._onto_hull,
    "pull": refined._forward,
    "pull_and_move": _pull_and_move._forward,
    "pull_backward": refined._backward,
}
TILES = {"SAMPLES": 16, "TERMS": 32, "ROWS": 32, "PRECISION": "ieee"}
MOVE = {"SAMPLES": 4, "FEATURES": 256, "ONLY": True}
WHOLE = {"SAMPLES": 4, "FEATURES": 256, "ROWS": 16}
TALL = {"SAMPLES": 16, "TERMS": 32, "ROWS": 32, "COLUMNS": 64}
BOUNDS = {"UPPER": True, "LOWER": True}
KERNELS = {
    "move": [
        {**TILES, **MOVE, "SHIFTING": shifting, "STRICT": strict, "GIVEN": given, "WHOLE": whole}
        for shifting, strict, given in ((True, True, True), (False, True, False), (False, False, False))
        for whole in (True, False)
    ],
    "move_backward": [{**MOVE, "SHIFTING": shifting, "INWARD": True} for shifting in (True, False)],
    "half_spaces": [{**WHOLE, **BOUNDS, "STRICT": strict} for strict in (True, False)],
    "half_spaces_backward": [{**WHOLE, "INWARD": True}],
    "half_spaces of many rows": [
        {**TALL, **BOUNDS, "STRICT": strict, "PRECISION": "ieee"} for strict in (True, False)
    ],
    "half_spaces_backward of many rows": [{**TALL, "INWARD": True}],
    "onto_hull": [{**TALL, "OFFSETS": offsets} for offsets in (True, False)],
    "pull": [{**TILES, "SHIFTING": shifting} for shifting in (True, False)],
    "pull_and_move": [{**WHOLE, "SHIFTING": shifting, "STRICT": shifting} for shifting in (True, False)],
    "pull_backward": [
        {"SAMPLES": 16, "TERMS": 32, "ROWS": 32, "SHIFTING": shifting, "PACKED": 16}
        for shifting in (True, False)
    ],
}
INTEGERS = {"batch", "n", "q", "m", "steps", "tightened"}
NUMBERS = {
    "slope",
    "offset",
    "gain",
    "top_served",
    "top_stored",
    "root",
    "tiny",
    "scale",
    "half_gap",
    "top",
    "keep",
}
NARROW = {"x", "v", "y", "back"}
OTHERS = {"worst_of": "*i32", "signs_of": "*i32", "only": "*i8", "signs": "*i8", "replaced": "*i8"}


def compiled(name: str, **options) -> dict[str, str]:
    """The stages of a kernel; pointers and n are multiples of 16, as they usually are."""
    function = FUNCTIONS[name]
    signature = {argument: kind(argument, options) for argument in function.arg_names}
    even = [k for k, (argument, of) in enumerate(signature.items()) if of[0] == "*" or argument == "n"]
    attributes = {(k,): [["tt.divisibility", 16]] for k in even}
    source = ASTSource(fn=function, signature=signature, constexprs=options, attrs=attributes)
    warps = {"num_warps": 1 if holds_samples_whole(name, options) else 4}
    return triton.compile(source, target=GPUTarget("cuda", 80, 32), options=warps).asm


def holds_samples_whole(name: str, options: dict) -> bool:
    """Rows pass by samples in registers."""
    return options.get("WHOLE", "FEATURES" in options and name != "move_backward")


def kind(argument: str, options: dict) -> str:
    if argument in options:
        return "constexpr"
    if argument in INTEGERS:
        return "i32"
    if argument in NUMBERS:
        return "fp32"
    return OTHERS.get(argument, "*bf16" if argument in NARROW else "*fp32")
