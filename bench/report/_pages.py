"""The report of all devices as blocks, and its two forms: results/README.md and results/report.html."""

from __future__ import annotations

from pathlib import Path

from .._tables_io import Tables, read_all
from ..analyses import main_setting
from ..rows import write_atomic
from ._accuracy import accuracy
from ._break_even import break_even
from ._compiled import compiled
from ._document import Block, Heading, Paragraph, code, literal, markdown
from ._downloads import downloads
from ._feasibility import feasibility
from ._growth import growth
from ._html import page
from ._inference import inference
from ._learning import learning
from ._limitations import limitations
from ._limits import limits
from ._machine import machine
from ._machines import machines
from ._main_result import main_result_in_full
from ._means import means
from ._networks import networks
from ._pareto import pareto
from ._pictures import Pictures
from ._planning import planning
from ._profiles import profiles
from ._questions import questions
from ._robustness import robustness
from ._settings import settings
from ._strict import strict_everywhere
from ._summary import summary
from ._training import networks_in_full, training
from ._training_step import training_step, training_step_in_full
from ._vae import vae
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
    compared = machines([main_setting(tables) for tables in devices])
    return [Heading(1, TITLE), Paragraph(intro), *sections, *compared, *limitations(devices)]


def _device(every: Tables, figures: Path, folder: Path) -> list[Block]:
    tables = main_setting(every)
    pictures = Pictures(figures, tables.device, folder)
    blocks: list[Block] = [
        Heading(2, f"Device {literal(tables.device)}"),
        *questions(tables, pictures),
        *machine(tables),
        *_versions(tables),
        *summary(tables),
        Heading(3, "Main result"),
        *pictures.of("headline"),
        *main_result_in_full(tables),
        *verdict(tables),
    ]
    if tables.find("inference"):
        blocks += _comparison(tables.find("inference"), pictures)
    blocks += [Heading(3, "Training step"), *pictures.of("training_step"), *training_step(tables)]
    blocks += [*compiled(tables.rows.get("compiled") or []), *limits(tables, pictures)]
    blocks += [Heading(3, "Networks"), *pictures.of("training", "digits"), *networks(tables)]
    blocks += learning(tables, pictures)
    blocks += vae(tables, pictures)
    if tables.find("robustness"):
        blocks += robustness(tables.find("robustness"))
    blocks += [*settings(every), *pictures.others()]
    return blocks + _in_full(tables) + downloads(tables, folder)


def _comparison(rows: list, pictures: Pictures) -> list[Block]:
    """What is worked out from the inference table."""
    speedups = pictures.of("speedup_dimension", "speedup_constraints")
    return [
        *([Heading(3, "Speed-up against dimension and constraints"), *speedups] if speedups else []),
        Heading(3, "Geometric means across problems"),
        *pictures.of("means"),
        *means(rows),
        Heading(3, "Time against nearness"),
        *pictures.of("pareto", "excess"),
        *pareto(rows),
        Heading(3, "Performance profiles"),
        *pictures.of("profiles"),
        *profiles(rows),
        *strict_everywhere(rows),
        Heading(3, "Feasibility by dtype"),
        *pictures.of("feasibility", "violation"),
        *feasibility(rows),
        Heading(3, "Set-up and break-even"),
        *pictures.of("break_even", "setup_time"),
        *break_even(rows),
        Heading(3, "Growth"),
        *pictures.of("growth", "time_per_sample"),
        *growth(rows),
    ]


def _in_full(tables: Tables) -> list[Block]:
    """Every row of every table."""
    blocks: list[Block] = []
    if tables.find("inference"):
        blocks += inference(tables.find("inference"))
    blocks += accuracy(tables.find("accuracy"))
    if tables.find("training_step"):
        blocks += training_step_in_full(tables.find("training_step"))
    if tables.find("planning"):
        blocks += planning(tables.find("planning"))
    if tables.find("networks"):
        blocks += networks_in_full(tables.find("networks"))
    if tables.find("training"):
        blocks += training(tables.find("training"))
    return blocks


def _versions(tables: Tables) -> list[Block]:
    versions = (tables.machine or {}).get("versions") or {}
    named = ", ".join(f"{code(name)} {literal(str(version))}" for name, version in sorted(versions.items()))
    return [Paragraph(f"Packages: {named}.")] if named else []
