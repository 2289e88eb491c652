"""The enumerations themselves; runs as a script in a child process and imports nothing of ours.

Request on stdin and answer on stdout are `marshal` values between two processes of one interpreter:
(task, inequalities, equalities, n, extra, max_rays) and ("rays", list) or ("budget", (rays, rows,
total)) or ("error", text). Progress goes to stderr as lines "rays rows total".
"""

import marshal
import math
import sys

STRIDE = 12
"""Rows inserted between two looks at the count; a look copies and sorts all rays, a tenth of the work."""


class OverBudget(Exception):
    """Raised with (rays, rows inserted, rows in total)."""


def ppl_rays(inequalities, equalities, n, lead, max_rays, report=None):
    """Double description, a few rows at a time so that the count can be watched.

    The first `lead` rows, known to be linearly independent, are inserted in one go: they give a
    simplicial cone and cannot blow up.
    """
    ppl = _import_ppl()

    def expression(row):
        return ppl.Linear_Expression(list(row), 0)

    cone = ppl.C_Polyhedron(n, "universe")
    for row in equalities:
        cone.add_constraint(expression(row) == 0)
    for row in inequalities[:lead]:
        cone.add_constraint(expression(row) <= 0)
    found = cone.minimized_generators()
    lines = sum(g.is_line() for g in found)  # `lead` rows have the rank of all, so this stays
    total, count, i, growth = len(inequalities), len(found) - lines - 1, lead, 2.0  # 1: the apex
    while i < total:
        if report is not None:
            report(count, i, total)
        if max_rays is not None and count > max_rays:
            raise OverBudget(count, i, total)
        step, before = _stride(count, growth, total - i, max_rays), count
        for row in inequalities[i : i + step]:
            cone.add_constraint(expression(row) <= 0)
        found = cone.minimized_generators()
        count = len(found) - lines - 1
        i, growth = i + step, (max(count, 1) / max(before, 1)) ** (1 / step)
    if max_rays is not None and count > max_rays:
        raise OverBudget(count, total, total)
    return [tuple(int(c) for c in g.coefficients()) for g in found if g.is_ray()]


def _stride(count, growth, left, max_rays):
    """So many rows that the count, growing by `growth` a row as in the last rows, stays in the budget."""
    if max_rays is None:
        return min(STRIDE, left)
    room = math.log(max(max_rays, 1) / max(count, 1)) / math.log(max(growth, 1.5))
    return min(max(int(room), 1), STRIDE, left)


def _import_ppl():
    """PPL without the handler that cysignals installs for Ctrl-C on the way.

    That handler jumps out of PPL wherever it is, even out of `malloc` with its lock held, and the
    process hangs at the next allocation. Python's own handler waits until PPL returns. A program
    that has imported `ppl` or cysignals itself keeps what it has chosen.
    """
    import signal

    chosen = "cysignals" in sys.modules
    before = signal.getsignal(signal.SIGINT)
    if __name__ == "__main__":
        _import_gmpy2()
    import ppl

    if not chosen and before is not None:
        signal.signal(signal.SIGINT, before)
    return ppl


def _import_gmpy2():
    """gmpy2 in this process alone, where nobody asks for its version.

    It loads `importlib.metadata`, and with that `email` and `zipfile`, to find the number out: 40 of the
    60 ms in which a child process is ready.
    """
    import types

    stand_in = types.ModuleType("importlib.metadata")
    stand_in.version = lambda name: "unknown"  # type: ignore[attr-defined]
    sys.modules["importlib.metadata"] = stand_in
    try:
        import gmpy2  # noqa: F401
    except Exception:  # another gmpy2 needs more; the next import is an ordinary one
        for name in [name for name in sys.modules if name.partition(".")[0] == "gmpy2"]:
            del sys.modules[name]
    finally:
        del sys.modules["importlib.metadata"]


def cdd_rays(inequalities, equalities, n, extra, max_rays, report=None):
    """cddlib in double precision; rows are scaled to a largest entry of 1 on the way to floats."""
    import cdd

    def row(values, top):
        return [0.0, *(-v / top for v in values)]

    rows = [row(values, max(map(abs, values)) or 1) for values in [*equalities, *inequalities]]
    if not rows:
        return []
    matrix = cdd.matrix_from_array(rows, lin_set=range(len(equalities)), rep_type=cdd.RepType.INEQUALITY)
    found = cdd.copy_generators(cdd.polyhedron_from_matrix(matrix))
    rays = [
        tuple(values[1:])
        for i, values in enumerate(found.array)
        if i not in found.lin_set and values[0] == 0.0
    ]
    if max_rays is not None and len(rays) > max_rays:
        raise OverBudget(len(rays), len(rows), len(rows))
    return rays


def normaliz_rays(inequalities, equalities, n, threads, max_rays, report=None):
    """Normaliz's extreme rays; it has no count to watch on the way."""
    import PyNormaliz_cpp as normaliz  # pyright: ignore[reportMissingImports]

    # Without inequalities it would take the positive orthant.
    rows = {"inequalities": [[-v for v in row] for row in inequalities] or [[0] * n]}
    if equalities:
        rows["equations"] = [list(row) for row in equalities]
    normaliz.NmzSetNumberOfNormalizThreads(threads)
    cone = normaliz.NmzCone(**rows)
    normaliz.NmzCompute(cone, ["ExtremeRays"])
    rays = [tuple(ray) for ray in normaliz.NmzResult(cone, "ExtremeRays")]
    if max_rays is not None and len(rays) > max_rays:
        raise OverBudget(len(rays), len(inequalities), len(inequalities))
    return rays


TASKS = {"exact": ppl_rays, "normaliz": normaliz_rays, "cdd": cdd_rays}


def _limit_memory():
    """At most half of the machine's memory, where the system can say how much that is."""
    try:
        import os
        import resource

        half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        resource.setrlimit(resource.RLIMIT_AS, (half, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ImportError, OSError, ValueError):
        pass


def _report(rays, rows, total):
    print(rays, rows, total, file=sys.stderr, flush=True)


def _main():
    sys.path.extend(sys.argv[1:])
    task, *arguments = marshal.loads(sys.stdin.buffer.read())
    _limit_memory()
    try:
        answer = ("rays", TASKS[task](*arguments, report=_report))
    except OverBudget as over:
        answer = ("budget", over.args)
    except MemoryError:
        answer = ("error", "out of memory (the limit is half of the machine's)")
    except Exception as error:
        answer = ("error", f"{type(error).__name__}: {error}")
    sys.stdout.buffer.write(marshal.dumps(answer))


if __name__ == "__main__":
    _main()
