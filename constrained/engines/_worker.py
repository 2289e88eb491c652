"""The enumerations themselves; runs as a script in a child process and imports nothing of ours.

Request on stdin and answer on stdout are `marshal` values between two processes of one interpreter:
(task, inequalities, equalities, n, lead, max_rays) and ("rays", list) or ("budget", (rays, rows,
total)) or ("error", text). Progress goes to stderr as lines "rays rows total".
"""

import marshal
import sys


class OverBudget(Exception):
    """Raised with (rays, rows inserted, rows in total)."""


def ppl_rays(inequalities, equalities, n, lead, max_rays, report=None):
    """Double description, one row at a time so that the count can be watched.

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
    start = cone.minimized_generators()
    lines = sum(g.is_line() for g in start)  # `lead` rows have the rank of all, so this stays
    total, count = len(inequalities), len(start) - lines - 1  # 1: the apex
    for i in range(lead, total):
        if report is not None:
            report(count, i, total)
        if max_rays is not None and count > max_rays:
            raise OverBudget(count, i, total)
        cone.add_constraint(expression(inequalities[i]) <= 0)
        count = len(cone.minimized_generators()) - lines - 1
    rays = [g for g in cone.minimized_generators() if g.is_ray()]
    if max_rays is not None and len(rays) > max_rays:
        raise OverBudget(len(rays), total, total)
    return [tuple(int(c) for c in g.coefficients()) for g in rays]


def _import_ppl():
    """PPL without the handler that cysignals installs for Ctrl-C on the way.

    That handler jumps out of PPL wherever it is, even out of `malloc` with its lock held, and the
    process hangs at the next allocation. Python's own handler waits until PPL returns. A program
    that has imported `ppl` or cysignals itself keeps what it has chosen.
    """
    import signal

    chosen = "cysignals" in sys.modules
    before = signal.getsignal(signal.SIGINT)
    import ppl

    if not chosen and before is not None:
        signal.signal(signal.SIGINT, before)
    return ppl


def cdd_rays(inequalities, equalities, n, lead, max_rays, report=None):
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


TASKS = {"exact": ppl_rays, "cdd": cdd_rays}


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
