"""Where and with what the tables were measured, in a line."""

from __future__ import annotations

from .._tables_io import COMMAND, Tables
from ._document import Block, Paragraph, literal

PACKAGES = ("torch", "osqp", "daqp")
GPU = {"driver": "driver", "cuda": "CUDA", "capability": "compute capability"}
"""Facts of a CUDA device, by how they are said."""


def machine(tables: Tables) -> list[Block]:
    """Processor, threads, versions, date, commit; what the file does not say is left out."""
    facts = tables.machine
    if not facts:
        return [Paragraph(f"The machine is not recorded: `{COMMAND}` writes machine.json.")]
    versions, gpu = facts.get("versions") or {}, facts.get("gpu") or {}
    parts = [
        str(facts.get("cpu", "")),
        *([str(facts["device"])] if facts.get("device", "cpu") not in ("cpu", facts.get("cpu")) else []),
        *(f"{name} {gpu[key]}" for key, name in GPU.items() if gpu.get(key)),
        *(f"{facts[name]} {name}" for name in ("cores", "threads") if facts.get(name)),
        f"{facts['memory_gb']} GB" if facts.get("memory_gb") else "",
        str(facts.get("os", "")),
        f"Python {facts['python']}" if facts.get("python") else "",
        *(f"{name} {versions[name]}" for name in PACKAGES if versions.get(name)),
        str(facts.get("when", ""))[:10],
    ]
    commit = f"commit {facts['commit']}" if facts.get("commit") else ""
    parts.append(f"{commit} with uncommitted changes" if commit and facts.get("dirty") else commit)
    return [Paragraph(f"Measured on {', '.join(literal(part) for part in parts if part)}.")]
