"""The peers: other papers' layers, one a file, listed once, here.

    with PeerProcess(peer("pinet"), P, dtype="float32") as layer:
        x, seconds, gradient = layer.run(y, backward=True)

Each runs in an environment of its own, built by `make peers`, in a process that stays (`_process.py`).
Importing this package imports none of their packages.
"""

from constrained.errors import lookup

from .._installed import installed
from ._base import AbstractPeer, Problem
from ._process import PeerDeviceError, PeerError, PeerProcess, PeerTimeoutError, tuning_points
from .cvxpylayers_ import Cvxpylayers
from .dc3 import Dc3
from .hardnet_aff import HardNetAff
from .linsat_ import LinSat
from .pinet_ import Pinet
from .qpth_ import Qpth
from .rayen_ import Rayen

PEERS: tuple[type[AbstractPeer], ...] = (Cvxpylayers, Qpth, Pinet, Rayen, HardNetAff, LinSat, Dc3)


def peer(name: str) -> type[AbstractPeer]:
    """The peer class called `name`; `UnknownNameError` with the names that exist otherwise."""
    return lookup("peer", name, PEERS)


def available() -> list[str]:
    """Names of the peers whose environment was built, in the order of `PEERS`."""
    return installed(PEERS)


__all__ = [
    "PEERS",
    "AbstractPeer",
    "PeerDeviceError",
    "PeerError",
    "PeerProcess",
    "PeerTimeoutError",
    "Problem",
    "available",
    "peer",
    "tuning_points",
]
