"""The PTX of each kernel for a device of compute capability 8.0; needs Triton, and no device."""

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from constrained.kernels.triton_ import half_spaces, move, refined

FUNCTIONS = {
    "move": move._forward,
    "move_backward": move._backward,
    "half_spaces": half_spaces._forward,
    "half_spaces_backward": half_spaces._backward,
    "pull": refined._forward,
}
TILES = {"SAMPLES": 16, "TERMS": 32, "ROWS": 32, "PRECISION": "ieee"}
MOVE = {"SAMPLES": 16, "FEATURES": 64, "ONLY": True}
BOUNDS = {"UPPER": True, "LOWER": True}
KERNELS = {
    "move": [
        {**TILES, **MOVE, "SHIFTING": True, "STRICT": True, "GIVEN": True},
        {**TILES, **MOVE, "SHIFTING": False, "STRICT": True, "GIVEN": False},
        {**TILES, **MOVE, "SHIFTING": False, "STRICT": False, "GIVEN": False},
    ],
    "move_backward": [{**MOVE, "SHIFTING": shifting, "INWARD": True} for shifting in (True, False)],
    "half_spaces": [{**TILES, **BOUNDS, "STRICT": strict} for strict in (True, False)],
    "half_spaces_backward": [{**TILES, "INWARD": True}],
    "pull": [{**TILES, "SHIFTING": shifting} for shifting in (True, False)],
}
INTEGERS = {"batch", "n", "q", "m", "steps"}
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
OTHERS = {"worst_of": "*i32", "only": "*i8", "signs": "*i8", "replaced": "*i8"}


def compiled(name: str, **options) -> str:
    function = FUNCTIONS[name]
    signature = {argument: kind(argument, options) for argument in function.arg_names}
    source = ASTSource(fn=function, signature=signature, constexprs=options)
    return triton.compile(source, target=GPUTarget("cuda", 80, 32)).asm["ptx"]


def kind(argument: str, options: dict) -> str:
    if argument in options:
        return "constexpr"
    if argument in INTEGERS:
        return "i32"
    if argument in NUMBERS:
        return "fp32"
    return OTHERS.get(argument, "*bf16" if argument in NARROW else "*fp32")
