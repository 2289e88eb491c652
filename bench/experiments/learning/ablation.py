"""Variants of the published layer and of the maps that differ from them in one thing, then in several."""

from __future__ import annotations

from .methods import Method, layer, mapped

CONE, BOX = ("digits_cone",), ("digits",)
BOTH = (*BOX, *CONE)


def _layer(name: str, changes: str, **options: object) -> Method:
    return layer(name, options, changes=changes, tasks=CONE)


ABLATION: tuple[Method, ...] = (
    _layer("no_norm", "no normalisation", norm=None),
    _layer("layer_norm", "LayerNorm", norm="layer"),
    _layer("free_lines", "one coefficient a line", lines="free"),
    _layer("softplus", "softplus for |.|", coefficients="softplus"),
    _layer(
        "no_norm_free_softplus",
        "no normalisation, one coefficient a line, softplus",
        norm=None,
        lines="free",
        coefficients="softplus",
    ),
    mapped("half_spaces", {}, "half_spaces_exact", changes="half_spaces, its own derivative", tasks=BOTH),
    mapped("gauge", {}, "gauge_exact", changes="gauge, its own derivative", tasks=BOX),
    mapped("knapsack", {}, "knapsack_exact", changes="knapsack, its own derivative", tasks=BOX),
)
"""What is trained to see where the distance of the published layer comes from, at every learning rate."""
