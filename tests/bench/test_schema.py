"""Declared tables: every column means something, damage is located, versions are told apart."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import main
from bench._tables_io import read_table, read_tables, write_table
from bench.schema import EXPECTED, REFERENCE, SCHEMA, TABLES, kind_of, unit_of
from constrained import InvalidInputError
from tests.fixtures.tables import DEFAULTS, inference_rows, training_rows, write_csv, write_tables

ALL = [*TABLES.values(), REFERENCE]


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_every_column_is_described_and_has_a_unit(table):
    assert table.meaning and set(table.key) <= set(table.all)
    for name, column in table.schema.columns.items():
        assert column.description and len(column.description) > 5, name
        assert (kind_of(column) in ("count", "number")) == bool(unit_of(column)), name
        assert kind_of(column) in EXPECTED


def test_the_dictionary_lists_every_column(capsys):
    assert main(["schema"]) == 0
    out = capsys.readouterr().out
    assert f"schema version {SCHEMA}" in out and out.count("\n## ") == len(ALL)
    assert all(f"| `{name}` |" in out for table in ALL for name in table.all)
    assert main(["schema", "planning"]) == 0
    assert capsys.readouterr().out.count("\n## ") == 1
    assert main(["schema", "plans"]) == 1
    assert "unknown table 'plans'; available: 'inference'" in capsys.readouterr().err


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "inference.csv"
    rows = [DEFAULTS | row for row in inference_rows()]
    write_table(path, rows, TABLES["inference"])
    back = read_table(path, TABLES["inference"])
    assert back is not None and [row["method"] for row in back] == [row["method"] for row in rows]
    assert back[0]["us_per_sample"] == pytest.approx(rows[0]["us_per_sample"], rel=1e-5)
    assert back[0]["reason"] == "" and back[0]["excess"] != back[0]["excess"] and back[0]["stable"] == 1.0
    assert list(back[0]) == list(TABLES["inference"].all) and isinstance(back[0]["n"], int)


def test_a_table_without_rows_is_read(tmp_path):
    write_table(tmp_path / "planning.csv", [], TABLES["planning"])
    assert read_table(tmp_path / "planning.csv", TABLES["planning"]) == []


def test_nothing_is_written_that_would_not_be_read(tmp_path):
    rows = [DEFAULTS | row for row in inference_rows()]
    rows[4] |= {"infeasible_share": 1.5}
    with pytest.raises(InvalidInputError, match="not written: line 6, column infeasible_share.*found 1.5"):
        write_table(tmp_path / "inference.csv", rows, TABLES["inference"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("infeasible_share", {3: 1.5}, "line 5, column infeasible_share: expected at most 1, found 1.5"),
        ("ratio_linear", {2: -1}, "line 4, column ratio_linear: expected a number above 0, found -1"),
        ("cache", {2: "hot"}, "line 4, column cache: expected one of warm, cold, found 'hot'"),
        ("batch", {1: -2}, "line 3, column batch: expected a whole number from 0 on, found -2"),
        (
            "rounds",
            {2: "few", 5: "few"},
            "lines 4, 7, column rounds: expected a number, found 'few'",
        ),
        ("role", dict.fromkeys(range(5), "x"), r"lines 2, 3, 4 and 2 more, column role: .*found 'x'"),
        ("stable", {2: "no"}, "line 4, column stable: expected True or False, found 'no'"),
    ],
)
def test_a_value_out_of_place_is_located(tmp_path, column, values, message):
    rows = inference_rows()
    for index, value in values.items():
        rows[index][column] = value
    path = tmp_path / "inference.csv"
    write_csv(path, rows)
    with pytest.raises(InvalidInputError, match=f"inference.csv, {message}.*`make bench`"):
        read_table(path, TABLES["inference"])


def test_different_damages_are_listed_together(tmp_path):
    rows = training_rows(3)
    rows[0]["val_mse"], rows[1]["epoch"] = "?", ""
    write_csv(tmp_path / "training.csv", rows)
    message = "line 2, column val_mse: expected a number, found '[?]'; line 3, column epoch: expected a whole"
    with pytest.raises(InvalidInputError, match=message):
        read_table(tmp_path / "training.csv", TABLES["training"])


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (None, r"schema version 1, this suite reads .*`python -m bench tables`"),
        (SCHEMA - 1, r"schema version 1, .*`python -m bench tables`"),
        (SCHEMA + 1, r"schema version \d+, .*newer version of the suite.*update"),
        ("new", r"schema version new, .*`python -m bench tables`"),
    ],
)
def test_tables_of_another_version_say_so(tmp_path, version, message):
    folder = write_tables(tmp_path)
    machine = json.loads((folder / "machine.json").read_text())
    (folder / "machine.json").write_text(
        json.dumps({key: value for key, value in machine.items() if key != "schema"})
        if version is None
        else json.dumps(machine | {"schema": version})
    )
    with pytest.raises(InvalidInputError, match=f"machine.json: the tables beside it have {message}"):
        read_tables(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2, "device": 3}'])
def test_damaged_facts_beside_the_tables_are_named(tmp_path, text):
    folder = write_tables(tmp_path)
    (folder / "machine.json").write_text(text)
    with pytest.raises(InvalidInputError, match="machine.json.*`make bench`"):
        read_tables(folder)


def test_a_column_that_is_there_twice_is_named(tmp_path):
    path = tmp_path / "training.csv"
    write_csv(path, training_rows(2))
    path.write_text(path.read_text().replace("train_mse", "val_mse", 1))
    with pytest.raises(InvalidInputError, match="line 1: expected each column once, found twice: val_mse"):
        read_table(path, TABLES["training"])


def test_a_missing_package_is_named_with_its_extra(tmp_path):
    """In a fresh interpreter in which pandera cannot be found."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "real = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'pandera' else real(name, package)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "bench", "schema"],
        cwd=Path(__file__).resolve().parents[2],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the package 'pandera'") and "bench" in done.stderr
