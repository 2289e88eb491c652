"""The four questions of the paper, each answered with numbers of the tables and a figure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .._cells import (
    PROBLEM,
    best_projection,
    distinct,
    main_batch,
    main_cell,
    main_dtype,
    ok,
    plain_maps,
    where,
)
from .._numbers import count, number, share, times
from .._tables_io import COMMAND, Row, Tables
from ..analyses import means
from ..experiments.learning.methods import REFERENCE
from ._document import Block, Bullets, Heading, Paragraph, code
from ._learning import better, with_ends, worse
from ._pictures import Pictures

QUESTIONS = (
    "Is a network with embedded constraints faster than one whose outputs are projected?",
    "Do its outputs satisfy the constraints, and what does it take?",
    "Does training stay efficient and stable, without projection and without tuning?",
    "Does a constrained generative model work?",
)
GARBAGE = "silent garbage"


def questions(tables: Tables, pictures: Pictures) -> list[Block]:
    """Heading, figure and sentences of each question."""
    answers = (_faster(tables), _feasible(tables), _training(tables), _generative(tables))
    figures = ("means", "feasibility", "learned", "vae_elbo")
    blocks: list[Block] = [Heading(3, "The paper's four questions")]
    for place, (question, answer, figure) in enumerate(zip(QUESTIONS, answers, figures, strict=True), 1):
        blocks += [Heading(4, f"{place}. {question}"), *answer, *pictures.of(figure)]
    return blocks


def _missing(what: str, command: str = COMMAND) -> list[Block]:
    return [Paragraph(f"Not measured yet: {what}; `{command}` does.")]


def _faster(tables: Tables) -> list[Block]:
    rows = tables.find("inference")
    if not ok(rows):
        return _missing("the timing grid")
    place = {"batch": main_batch(rows), "dtype": main_dtype(rows)}
    lines = [line for line in where(means(rows), **place, role="embedded") if line["speedup_osqp_problems"]]
    items = []
    if lines:
        top = max(lines, key=lambda line: (line["answered"], line["speedup_osqp"]))
        items.append(
            f"{code(top['method'])}, which serves {top['answered']} of the {top['problems']} problems, is "
            f"{times(top['speedup_osqp'])} times faster than `osqp` and {times(top['speedup_best'])} times "
            f"faster than the fastest projection of each problem (geometric means, batch {place['batch']})."
        )
    items += _on_the_paper_problem(rows)
    maps = ok(where(rows, role="embedded"))
    compared = [row for row in maps if row["speedup_best"] > 0]
    lost = [row for row in compared if row["speedup_best"] < 1]
    names = ", ".join(code(name) for name in distinct(plain_maps(lost), "method"))
    items.append(
        f"Projection wins {len(lost)} of {len(compared)} comparisons with an embedded map"
        + (f" ({names}, or a strict variant); each is named under the main result." if lost else ".")
    )
    fast = bool(lines) and max(line["speedup_best"] for line in lines) > 1
    word = "Yes, against OSQP by far; against the strongest projection by less, and not everywhere."
    return [Paragraph(word if fast else "Not against the strongest projection."), Bullets(tuple(items))]


def _on_the_paper_problem(rows: list[Row]) -> Iterable[str]:
    cell = main_cell(rows)
    best = best_projection(cell)
    mine = ok(where(plain_maps(cell), method="paper_layer"))
    if mine and best:
        row = mine[0]
        yield (
            f"On the paper's problem ({PROBLEM}) its own layer, trained weights included, is "
            f"{times(row['speedup_osqp'])} times faster than `osqp` and, counted the same way, "
            f"{times(row['speedup_best'])} times as fast as {code(best)}."
        )


def _feasible(tables: Tables) -> list[Block]:
    rows = tables.find("inference")
    strict = [row for row in ok(rows) if row["plain"] and math.isfinite(row["broken_share"])]
    if not strict:
        return _missing("strict maps")
    broken = [row for row in strict if row["broken_share"] > 0]
    maps = ok(where(plain_maps(rows), role="embedded", dtype=main_dtype(rows)))
    plain = [row for row in maps if math.isfinite(row["violation"])]
    ratios = [row["ratio_plain"] for row in strict if row["ratio_plain"] > 0]
    items = [
        f"Strict maps break an inequality in {len(broken)} of {len(strict)} cells, decided exactly, for "
        f"{times(_middle(ratios))} times the time of the plain map (median).",
        f"Plain maps hold every row up to rounding: the largest violation of {len(plain)} cells in "
        f"{main_dtype(rows)} is "
        f"{number(max((row['violation'] for row in plain), default=math.nan))}.",
    ]
    unanswered = [
        row for row in where(rows, role="embedded") if row["status"] in ("timeout", "crashed", "failed")
    ]
    if unanswered:
        names = ", ".join(code(name) for name in distinct(unanswered, "method"))
        items.append(
            f"What it takes: rays are enumerated once, and their number can explode. {len(unanswered)} cells "
            f"have no answer of {names} within the limits; the maps without rays need none."
        )
    robust = [row for row in tables.find("robustness") if row["outcome"] not in ("refused", "skipped")]
    for role in distinct(robust, "role"):
        mine = where(robust, role=role)
        garbage = len(where(mine, outcome=GARBAGE))
        items.append(
            f"Of {len(mine)} calls with bad or degenerate input, {role} methods answered {garbage} with "
            "silent garbage."
        )
    word = "Yes: exactly in strict mode" if not broken else "Not everywhere, even in strict mode"
    return [Paragraph(f"{word}, up to rounding otherwise."), Bullets(tuple(items))]


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else math.nan


def _training(tables: Tables) -> list[Block]:
    rows = [row for row in tables.find("learned") if not row["changes"]]
    if not ok(rows):
        return _missing("the training comparison", "python -m bench run learning")
    best = {
        task: chosen for task in distinct(rows, "task") if (chosen := best_embedded(where(rows, task=task)))
    }
    won = [task for task, row in best.items() if better(row, "test_difference")]
    lost = [task for task, row in best.items() if worse(row, "test_difference")]
    level = [task for task in best if task not in won + lost]
    counts = [
        f"{text} on {len(tasks)} ({', '.join(map(code, tasks))})"
        for text, tasks in (("better", won), ("level", level), ("worse", lost))
        if tasks
    ]
    answer = (
        "The best embedded map of each task, chosen by validation loss, against the unconstrained network "
        f"that is projected at test time, in test loss: {'; '.join(counts)}."
    )
    items = [_best_item(task, row) + _best_projected(where(rows, task=task)) for task, row in best.items()]
    items += _published(rows)
    strict = [row for row in ok(rows) if row["strict"] == 1]
    failed = where(rows, role="embedded", status="failed")
    worst = max((row["violation"] for row in strict), default=math.nan)
    items.append(
        f"{len(strict)} pairs of an embedded map and a task are strict at evaluation: the largest violation "
        f"in any epoch of any seed is {number(worst)}. Embedded maps "
        f"that could not be trained on a task that they serve: {len(failed)}."
    )
    return [Paragraph(answer), Bullets(tuple(items))]


def best_embedded(rows: list[Row]) -> Row | None:
    """Of the embedded maps of a task that with the least validation loss."""
    mine = [row for row in ok(where(rows, role="embedded")) if math.isfinite(row["test_difference"])]
    return min(mine, key=lambda row: row["val_loss"], default=None)


def _best_item(task: str, row: Row) -> str:
    text, at_time = with_ends(row, "test_difference"), with_ends(row, "difference_at_time")
    return (
        f"{code(task)}: {code(row['method'])} reaches a test loss of {number(row['test_loss'])}; minus that "
        f"of {code(REFERENCE)}: {text}; the same of the validation loss at equal training time: {at_time}; "
        f"an epoch takes {times(row['relative_time'])} times as long."
    )


def _best_projected(rows: list[Row]) -> str:
    """What projects best, where that is not the reference."""
    mine = [row for row in ok(where(rows, role="projection")) if math.isfinite(row["val_loss"])]
    best = min(mine, key=lambda row: row["val_loss"], default=None)
    if best is None or best["method"] == REFERENCE:
        return ""
    return f" Of what projects, {code(best['method'])} is best here, with {number(best['test_loss'])}."


def _published(rows: list[Row]) -> Iterable[str]:
    """What the paper's own layer reaches on each task."""
    mine = [row for row in ok(where(rows, method="paper_layer")) if math.isfinite(row["test_difference"])]
    if mine:
        lost = [row["task"] for row in mine if worse(row, "test_difference")]
        yield (
            "The layer as it was published is worse than projection at test time on "
            f"{len(lost)} of {len(mine)} "
            + (f"tasks ({', '.join(map(code, lost))}); the ablation below says why." if lost else "tasks.")
        )


def _generative(tables: Tables) -> list[Block]:
    rows = [row for row in ok(tables.find("vae")) if row["judged"] == "images"]
    embedded = [row for row in where(rows, role="embedded") if math.isfinite(row["val_difference"])]
    if not embedded:
        return _missing("the autoencoders", "python -m bench run vae")
    best = max(embedded, key=lambda row: row["val_elbo"])
    won = [row["method"] for row in embedded if row["val_difference_low"] > 0]
    lost = [row["method"] for row in embedded if row["val_difference_high"] < 0]
    text = with_ends(best, "val_difference")
    items = [
        f"Validation ELBO of {code(best['method'])} minus that of {code(best['reference'])}: {text} nats "
        f"({count(best['seeds'])} seeds). Better with the whole interval: {_named(won)}; worse: "
        f"{_named(lost)}.",
        *_samples(embedded),
    ]
    better_ = "Yes" if best["val_difference"] >= 0 else "Not as well as projecting"
    answer = (
        f"{better_}: the best embedded decoder, {code(best['method'])}, against an unconstrained one whose "
        "images are projected afterwards, both judged on the feasible images."
    )
    return [Paragraph(answer), Bullets(tuple(items))]


def _samples(rows: list[Row]) -> Iterable[str]:
    """What samples of the prior violate, and what they cost."""
    strict = [row for row in rows if math.isfinite(row["strict_sample_violation"])]
    if strict:
        worst = max(row["strict_sample_violation"] for row in strict)
        shares = max(row["strict_sample_infeasible_share"] for row in strict)
        yield (
            f"Samples of the prior of {len(strict)} strict decoders: largest violation {number(worst)}, "
            f"{share(shares)} of them with any."
        )
    for row in rows:
        yield (
            f"{code(row['method'])} makes 10 000 samples in {number(row['seconds_10k'])} s: "
            f"{times(row['speedup_osqp'])} times faster than projecting with `osqp`, "
            f"{times(row['speedup_best'])} times as fast as with {code(row['best_projection'])}, the fastest "
            "projection."
        )


def _named(names: list[str]) -> str:
    return ", ".join(code(name) for name in names) or "none"
