"""The disk cache of exact results: what is kept, what is believed, and what a bad disk does."""

import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import constrained as cn
from constrained import cache as cache_module
from constrained.cache import Cache, cone_hash, default_folder
from constrained.engines._base import Cone
from constrained.engines.ppl_ import Ppl
from tests.interpreter import run_python

pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
pytest.importorskip("flint", reason="the extra 'rays' is not installed: python-flint")

RNG = np.random.default_rng(3)
INSIDE = RNG.standard_normal(5)
A = RNG.standard_normal((9, 5))
A = A * -np.sign(A @ INSIDE)[:, None]
SETS = {
    "cone": cn.Polyhedron(A),
    "with lines": cn.Polyhedron(A[:3]),
    "polyhedron": cn.Polyhedron(A, b=np.abs(RNG.standard_normal(9)), C=RNG.standard_normal((1, 5))),
    "huge numbers": cn.Polyhedron([[1e-300, 1e300, 1.0], [-1.0, 1e300, 0.5], [0.0, -1e-300, 1e300]]),
}


@pytest.fixture
def runs(monkeypatch):
    """How often the engine ran."""
    calls, honest = [], Ppl.rays.__func__

    def rays(cls, cone, budget):
        calls.append(cone)
        return honest(cls, cone, budget)

    monkeypatch.setattr(Ppl, "rays", classmethod(rays))
    return calls


@pytest.fixture(params=list(SETS))
def polyhedron(request):
    return SETS[request.param]


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def same(one: cn.Generators, other: cn.Generators) -> bool:
    return all(
        getattr(one, name) == getattr(other, name) for name in ("exact_rays", "exact_lines", "exact_vertices")
    ) and all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in ("rays", "vertices"))


def test_a_set_is_enumerated_once(polyhedron, runs, tmp_path):
    first = cn.generators(polyhedron, cache=tmp_path)
    assert len(runs) == 1
    again = cn.generators(polyhedron, cache=str(tmp_path))
    assert len(runs) == 1 and same(first, again)
    assert same(first, cn.generators(polyhedron, cache=False)) and len(runs) == 2


def test_the_order_of_the_rows_does_not_matter_their_values_do(runs, tmp_path):
    cn.generators(cn.Polyhedron(A), cache=tmp_path)
    cn.generators(cn.Polyhedron(A[::-1]), cache=tmp_path)
    cn.generators(cn.Polyhedron(np.vstack([A, 2 * A])), cache=tmp_path)
    assert len(runs) == 1
    cn.generators(cn.Polyhedron(np.nextafter(A, 9)), cache=tmp_path)
    assert len(runs) == 2


def test_rows_and_equalities_and_sizes_are_told_apart():
    cones = [
        Cone([(1, 2)], [], 2),
        Cone([], [(1, 2)], 2),
        Cone([(1,), (2,)], [], 1),
        Cone([(1, 18)], [], 2),
        Cone([(-1, 2)], [], 2),
        Cone([(1, 2), (3, 4)], [], 2),
        Cone([(1, 2)], [(3, 4)], 2),
        Cone([], [], 2),
        Cone([], [], 3),
    ]
    assert len({cone_hash(cone) for cone in cones}) == len(cones)


def test_another_engine_runs_itself(runs, tmp_path):
    pytest.importorskip("cdd", reason="the extra 'rays' is not installed: pycddlib-standalone")
    cn.generators(SETS["cone"], cache=tmp_path)
    cn.generators(SETS["cone"], engine="cdd", cache=tmp_path)
    assert {path.stem.rpartition("-")[2] for path in tmp_path.iterdir()} == {"exact", "cdd"}


def test_a_budget_holds_for_cached_results_too(tmp_path):
    cn.generators(SETS["cone"], cache=tmp_path)
    with pytest.raises(cn.BudgetExceededError, match=r"\d+ rays exceed the budget of 3"):
        cn.generators(SETS["cone"], cache=tmp_path, max_rays=3)


def change(path: Path, **fields: object) -> None:
    content = json.loads(path.read_text()) | fields
    path.write_text(json.dumps(content))


def with_rays(path: Path, lines: list[str]) -> None:
    """Rays in place of those of the file, with a checksum that fits."""
    change(path, rays=lines, checksum=cache_module._checksum(lines))


def rays_of(path: Path) -> list[str]:
    return json.loads(path.read_text())["rays"]


DAMAGES = {
    "empty": lambda path: path.write_text(""),
    "cut": lambda path: path.write_text(path.read_text()[:-30]),
    "not JSON": lambda path: path.write_bytes(b"\xff\xfe\x00rays"),
    "a list": lambda path: path.write_text("[1, 2]"),
    "no rays": lambda path: change(path, rays=None),
    "numbers": lambda path: change(path, rays=[[1, 2]]),
    "one digit": lambda path: change(path, rays=[rays_of(path)[0] + "0", *rays_of(path)[1:]]),
    "checksum": lambda path: change(path, checksum="0"),
    "another set": lambda path: change(path, cone="0" * 64),
    "another version": lambda path: change(path, format="constrained rays 0"),
    "another dimension": lambda path: change(path, n=9),
    "a ray outside, checksum right": lambda path: with_rays(path, ["1 1 1 1 1", *rays_of(path)[1:]]),
    "a ray inside, checksum right": lambda path: with_rays(path, [*rays_of(path), inner(path)]),
    "a ray twice, checksum right": lambda path: with_rays(path, [*rays_of(path), rays_of(path)[0]]),
    "a ray of 0, checksum right": lambda path: with_rays(path, [*rays_of(path), "0 0 0 0 0"]),
    "a short ray, checksum right": lambda path: with_rays(path, [*rays_of(path), "1 2"]),
}


def inner(path: Path) -> str:
    rays = [[int(word, 16) for word in line.split()] for line in rays_of(path)]
    return " ".join(f"{sum(column):x}" for column in zip(*rays, strict=True))


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_file_is_named_computed_again_and_replaced(damage, runs, tmp_path):
    first = cn.generators(SETS["cone"], cache=tmp_path)
    path = only_file(tmp_path)
    intact = path.read_bytes()
    DAMAGES[damage](path)
    with pytest.warns(RuntimeWarning, match=f"{path.name}.*damaged.*again"):
        again = cn.generators(SETS["cone"], cache=tmp_path)
    assert len(runs) == 2 and same(first, again)
    assert only_file(tmp_path) == path and path.read_bytes() == intact


def test_short_enumerations_are_kept_only_in_a_folder_that_was_named(monkeypatch, tmp_path, runs):
    monkeypatch.setenv("CONSTRAINED_CACHE", str(tmp_path / "default"))
    cn.generators(SETS["cone"])
    assert not (tmp_path / "default").exists()
    monkeypatch.setattr(cache_module, "MIN_SECONDS", 0.0)
    cn.generators(SETS["cone"])
    cn.generators(SETS["cone"], cache=True)
    assert only_file(tmp_path / "default") and len(runs) == 2


def test_where_the_default_is(monkeypatch):
    monkeypatch.delenv("CONSTRAINED_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/constrained")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert default_folder() == Path("/home/me/.cache/constrained")
    monkeypatch.setenv("CONSTRAINED_CACHE", "~/elsewhere")
    assert default_folder() == Path("/home/me/elsewhere")
    for word in ("", "off", "0", "False"):
        monkeypatch.setenv("CONSTRAINED_CACHE", word)
        assert default_folder() is None


@pytest.mark.parametrize("cache", [3, 1.5, "", ["x"]])
def test_what_is_no_folder_is_refused(cache):
    with pytest.raises(cn.InvalidInputError, match="cache must be a folder"):
        cn.generators(SETS["cone"], cache=cache)


def test_a_folder_that_cannot_be_made_costs_a_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(RuntimeWarning, match="could not be kept.*going on without"):
        V = cn.generators(SETS["cone"], cache=tmp_path / "file" / "below")
    assert same(V, cn.generators(SETS["cone"], cache=False))


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_read_only_folder_is_read_and_not_written(tmp_path, runs):
    cn.generators(SETS["cone"], cache=tmp_path)
    tmp_path.chmod(0o500)
    try:
        cn.generators(SETS["cone"], cache=tmp_path)
        assert len(runs) == 1
        if os.geteuid():  # root may write anywhere
            with pytest.warns(RuntimeWarning, match="could not be kept"):
                cn.generators(SETS["with lines"], cache=tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_leaves_no_file_and_one_warning(tmp_path):
    """A limit on the size of files stands for the disk; in an interpreter of its own, it cannot be lifted."""
    pytest.importorskip("resource", reason="no limits on this system")
    code = (
        "import resource, signal, sys, warnings, numpy as np, constrained as cn\n"
        "A = -np.tril(np.ones((6, 6)))\n"
        "cn.generators(cn.Polyhedron(A), cache=False)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    for _ in range(3):\n"
        f"        assert len(cn.generators(cn.Polyhedron(A), cache={str(tmp_path)!r}).rays) == 6\n"
        "assert len(seen) == 1 and 'could not be kept' in str(seen[0].message), seen\n"
    )
    run_python(code)
    assert not list(tmp_path.iterdir())


def test_a_killed_writer_leaves_nothing_that_is_read(tmp_path, monkeypatch, runs):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_module.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        cn.generators(SETS["cone"], cache=tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    stale, fresh = tmp_path / "unfinished-a.tmp", tmp_path / "unfinished-b.tmp"
    for path in (stale, fresh):
        path.write_text("half")
    os.utime(stale, (1, 1))
    cn.generators(SETS["cone"], cache=tmp_path)
    assert fresh.exists() and not stale.exists()


def test_writers_and_readers_at_the_same_time(tmp_path):
    """Sixteen threads on one file: each reader sees a whole file or none."""
    cone = Cone([(-1, 0, 0), (0, -1, 0), (0, 0, -1)], [], 3)
    rays = [(0, 0, 1), (0, 1, 0), (1, 0, 0)]
    store, barrier = Cache(tmp_path), threading.Barrier(16)

    def work(k: int) -> list | None:
        barrier.wait()
        for _ in range(20):
            if k % 2:
                store.store(cone, "exact", rays, 9.0)
            elif (found := store.load(cone, "exact")) not in (None, rays):
                return found
        return None

    with ThreadPoolExecutor(16) as pool:
        assert not any(pool.map(work, range(16)))
    assert store.load(cone, "exact") == rays and len(list(tmp_path.iterdir())) == 1


def test_nothing_is_unpickled():
    source = Path(str(sys.modules["constrained.cache"].__file__)).read_text()
    assert not any(f"import {name}" in source for name in ("pickle", "marshal", "shelve"))
