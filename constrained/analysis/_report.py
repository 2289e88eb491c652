"""The analysis in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._analysis import Analysis

MANY = 500  # inequalities from which redundancy is not looked for unasked


def report(analysis: Analysis) -> str:
    """About a dozen lines."""
    title = str(analysis.polyhedron)
    if analysis.is_empty:
        return f"{title}\n  empty: {analysis.certificate or 'by about the rounding error'}"
    lines = [_size(analysis), *_shape(analysis), *_rows(analysis), *_depth(analysis)]
    return "\n".join([title, *(f"  {name + ':':<22}{text}" for name, text in lines)])


def _size(analysis: Analysis) -> tuple[str, str]:
    P = analysis.polyhedron
    return "dimension", f"{analysis.dimension} of {P.n}" + (
        "" if analysis.dimension < P.n else ", with an interior"
    )


def _shape(analysis: Analysis) -> list[tuple[str, str]]:
    return [
        ("bounded", "yes" if analysis.is_bounded else "no"),
        ("lines", f"{analysis.lineality_dim} (dimension of the lineality space)"),
        ("independent blocks", _blocks(analysis)),
    ]


def _blocks(analysis: Analysis) -> str:
    sizes = [len(block) for block in analysis.blocks]
    return f"{len(sizes)}" + (f", of {min(sizes)} to {max(sizes)} features" if len(sizes) > 1 else "")


def _rows(analysis: Analysis) -> list[tuple[str, str]]:
    orthogonal = "orthogonal" if analysis.orthogonal_rows else "not orthogonal"
    return [
        ("inequalities", f"{len(analysis.inequalities.h)} one-sided"),
        ("implicit equalities", _listed(analysis.implicit)),
        ("redundant rows", _redundant(analysis)),
        ("rank", f"{analysis.rank}, rows {orthogonal}, condition number {analysis.condition:.3g}"),
    ]


def _redundant(analysis: Analysis) -> str:
    if len(analysis.inequalities.h) > MANY:
        return f"not looked for ({len(analysis.inequalities.h)} inequalities; ask for .redundant)"
    return _listed(analysis.redundant)


def _listed(pairs: tuple[tuple[int, int], ...]) -> str:
    """The rows by name, the first few."""
    if not pairs:
        return "none"
    names = [f"{row} (lower)" if side < 0 else f"{row}" for row, side in pairs[:6]]
    more = f" and {len(pairs) - 6} more" if len(pairs) > 6 else ""
    return f"{len(pairs)}: row{'s' if len(pairs) > 1 else ''} {', '.join(names)}{more}"


def _depth(analysis: Analysis) -> list[tuple[str, str]]:
    c, e = analysis.interior_point, analysis.direction
    length = f"of length {float((c @ c) ** 0.5):.3g}"
    found = "none" if e is None else f"of length {float((e @ e) ** 0.5):.4g} for a margin of 1"
    return [
        ("interior point", f"{length}, margin {analysis.margin:.4g} (in units of row norms)"),
        ("interior direction", found),
    ]
