"""How near the fused kernels come to what the device can do: `python -m bench.cuda_limits`.

    copy          bytes a second of a device copy, read and written: the limit of the memory
    product       operations a second of the library's product of large matrices, float32 and bfloat16
    map           bytes a second (each point read once, each value written once) and operations a second (the
                  products with the rows), on three paths: the fused kernel wherever it can run, the plain
                  path, and what the library chooses; called from Python, and in a CUDA graph
    own product   the library's float32 product of the same points with the same rows, as often as the map
                  makes it: what a map that multiplies cannot go below
    network       linear layers and rectifiers, then a map, in a CUDA graph, beside the same without the map

All calls of a cell are interleaved (`bench/timing.py`), the yardsticks run in the same process before them.
The L2 cache is warm; at the smaller batches, whose points it holds, cold as well. Raw rows go to
`results/raw/limits-*.json`, cell by cell; a run that was stopped is continued. A share of the memory's limit
above what the formula allows would be a mistake of these files, not a result.
"""

from ._command import limits_main
from ._maps import MAPS, map_cells, measure_map
from ._networks import NETWORKS, measure_network, network_cells
from ._rows import limits_table
from ._yardsticks import measure_yardsticks

__all__ = [
    "MAPS",
    "NETWORKS",
    "limits_main",
    "limits_table",
    "map_cells",
    "measure_map",
    "measure_network",
    "measure_yardsticks",
    "network_cells",
]
