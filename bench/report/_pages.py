"""The report of all devices as blocks, and its two forms: results/README.md and results/report.html."""

from __future__ import annotations

import os
from pathlib import Path

from .._tables_io import Tables, read_all
from ..plots import FIGURES, figure_path
from ..rows import write_atomic
from ._accuracy import accuracy
from ._document import Block, Heading, Image, Paragraph, code, literal, markdown
from ._html import page
from ._inference import inference, means
from ._limitations import limitations
from ._machine import machine
from ._main_result import main_result_in_full
from ._networks import networks
from ._planning import planning
from ._robustness import robustness
from ._strict import strict_everywhere
from ._training import networks_in_full, training
from ._training_step import training_step, training_step_in_full
from ._verdict import verdict

TITLE = "Results: embedded constraints against projection"


def write_pages(tables: Path, figures: Path) -> list[Path]:
    """Write `README.md` and `report.html` beside the folder of tables.

    Figures are taken from `figures`; those that are not there are left out.

    Returns:
        The files written.
    """
    pages = make_pages(tables, figures)
    for path, text in pages.items():
        write_atomic(path, text)
    return list(pages)


def make_pages(tables: Path, figures: Path) -> dict[Path, str]:
    """The text of each page by its path."""
    folder = tables.parent
    blocks = _report(read_all(tables), figures, folder)
    return {
        folder / "README.md": markdown(blocks) + "\n",
        folder / "report.html": page(TITLE, blocks, folder),
    }


def _report(devices: list[Tables], figures: Path, folder: Path) -> list[Block]:
    intro = (
        "Made by `python -m bench report` from `tables/` alone; do not edit. `python -m bench plots` draws "
        "the figures, `make bench` measures everything again. Devices: "
        f"{', '.join(literal(tables.device) for tables in devices)}."
    )
    sections = [block for tables in devices for block in _device(tables, figures, folder)]
    return [Heading(1, TITLE), Paragraph(intro), *sections, *limitations(devices)]


def _device(tables: Tables, figures: Path, folder: Path) -> list[Block]:
    rows = tables.find("inference")
    blocks: list[Block] = [
        Heading(2, f"Device {literal(tables.device)}"),
        *machine(tables),
        *_versions(tables),
    ]
    blocks += [Heading(3, "Main result"), *main_result_in_full(tables), *verdict(tables)]
    blocks += strict_everywhere(rows)
    blocks += [Heading(3, "Training step"), *training_step(tables)]
    blocks += [Heading(3, "Networks"), *networks(tables)]
    if tables.find("robustness"):
        blocks += robustness(tables.find("robustness"))
    blocks += [Heading(3, "Figures"), *_figures(tables, figures, folder)]
    if rows:
        blocks += [*means(rows), *inference(rows)]
    blocks += accuracy(tables.find("accuracy"))
    if tables.find("training_step"):
        blocks += training_step_in_full(tables.find("training_step"))
    if tables.find("planning"):
        blocks += planning(tables.find("planning"))
    if tables.find("networks"):
        blocks += networks_in_full(tables.find("networks"))
    if tables.find("training"):
        csv = Path(os.path.relpath(tables.folder / "training.csv", folder)).as_posix()
        blocks += training(tables.find("training"), csv)
    return blocks


def _versions(tables: Tables) -> list[Block]:
    versions = (tables.machine or {}).get("versions") or {}
    named = ", ".join(f"{code(name)} {literal(str(version))}" for name, version in sorted(versions.items()))
    return [Paragraph(f"Packages: {named}.")] if named else []


def _figures(tables: Tables, figures: Path, folder: Path) -> list[Block]:
    """The figures that were drawn, by their paths from the page."""
    paths = {figure: figure_path(figures, tables.device, figure.name, "svg") for figure in FIGURES}
    drawn: list[Block] = [
        Image(Path(os.path.relpath(path.with_suffix(""), folder)).as_posix(), figure.caption)
        for figure, path in paths.items()
        if path.exists()
    ]
    return drawn or [Paragraph("None drawn yet: `python -m bench plots` draws them.")]
