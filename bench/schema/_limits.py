"""The table of what a CUDA device can do, and how near the fused kernels come to it."""

from __future__ import annotations

from ._kinds import Table, count, flag, number, table_schema, text, with_interval

COMMAND = "make bench-cuda"
KEY = ("what", "map", "strict", "path", "launch", "hidden", "n", "m", "batch", "dtype", "l2")

LIMITS = Table(
    "limits",
    "a yardstick, a map or a network on a CUDA device, called in one way",
    table_schema(
        {
            "what": text(
                "copy: of 1 GiB, read and written; product: of large square matrices; map: of points; "
                "network: linear layers and rectifiers, then the map",
                allowed=("copy", "product", "map", "network"),
            ),
            "map": text('its name, "unconstrained" for a network without one', empty=True),
            "strict": flag("whether it is strict"),
            "path": text(
                "fused: the kernel, whatever the library would choose; plain: operators of torch; chosen: by "
                "the library; own product: the float32 product of the same points with the same rows, as "
                "often as the map makes it",
                allowed=("", "fused", "plain", "chosen", "own product"),
                empty=True,
            ),
            "launch": text(
                "eager: called from Python; graph: in a captured CUDA graph",
                ("", "eager", "graph"),
                empty=True,
            ),
            "hidden": text("widths of the hidden layers of a network", empty=True),
            "n": count("features; of a product, columns; of the copy, its numbers"),
            "m": count("rows of the set; of a product, columns of the result"),
            "batch": count("points in one call; of a product, rows"),
            "device": text("the name of the CUDA device"),
            "dtype": text("the type of the points"),
            "l2": text("warm: called on the same points as before; cold: overwritten", ("warm", "cold")),
            "clock": text("events: two on the stream of the calls, around all of a round", empty=True),
            "status": text("ok; failed: an error, or a set that the map refuses", allowed=("ok", "failed")),
            "reason": text("a sentence about a status that is not ok", empty=True),
            "seconds": number("median time of one call", "s", at_least=0),
            "seconds_q25": number("lower quartile of the same", "s", at_least=0),
            "seconds_q75": number("upper quartile of the same", "s", at_least=0),
            "rounds": number("interleaved rounds that were timed", at_least=1),
            "stable": flag("whether the standard deviation of the rounds is under 10 % of their mean"),
            "calls": number("calls that one round consists of", at_least=1),
            "bytes_per_second": number("each point read once and each value written once", "B/s", at_least=0),
            "operations_per_second": number(
                "multiplications and additions of the products with the rows", "1/s", at_least=0
            ),
            "share_of_copy": number("bytes_per_second over that of the copy", "share", at_least=0),
            "share_of_product": number(
                "operations_per_second over that of the large product; a map's, float32",
                "share",
                at_least=0,
            ),
            "share_of_own_product": number("time of its own product / its time", "share", at_least=0),
            **with_interval("ratio_plain", "time / time of the plain path, launched alike, in the same cell"),
            **with_interval("ratio_unconstrained", "time / time of the network without a map, interleaved"),
            "model_seconds": number("what the model behind the choice expects", "s", at_least=0),
        },
        key=KEY,
    ),
    command=COMMAND,
)
