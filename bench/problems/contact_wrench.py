"""Contact wrench cone of a rectangular foot: the wrenches that a flat foot can take without slip or tilt.

    w = (f_x, f_y, f_z, t_x, t_y, t_z), about the centre of the foot, z upwards
    |f_x| <= mu f_z,   |f_y| <= mu f_z,   |t_x| <= Y f_z,   |t_y| <= X f_z,
    t_z >= -mu (X + Y) f_z + |Y f_x - mu t_x| + |X f_y - mu t_y|
    t_z <=  mu (X + Y) f_z - |Y f_x + mu t_x| - |X f_y + mu t_y|

with half-length X, half-width Y, and a friction pyramid for the friction cone: 4 + 4 + 4 + 4 rows. `f_z >= 0`
follows from them. The same cone by its rays: a force along one of the 4 edges of the pyramid at one of the 4
corners of the foot, 16 in all.
Source: Caron, Pham and Nakamura, Stability of surface contacts for humanoid robots: closed-form formulae of
the contact wrench cone for rectangular support areas, ICRA 2015, proposition 2.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from constrained.errors import InvalidInputError
from constrained.polyhedron import Polyhedron

from ._base import AbstractFamily, Instance
from ._sizes import check_counts, unpack_size

MU, X, Y = 0.5, 1.0, 0.5
"""Of the family: friction coefficient, half-length and half-width of a foot, lengths in units of the former.

About those of an adult-sized humanoid; dyadic, so that the rows are exact in both dtypes.
"""
SIGNS = (-1.0, 1.0)


def contact_wrench_cone(mu: float, X: float, Y: float) -> Polyhedron:
    """The cone `A w <= 0` of a foot of 2 X by 2 Y with friction coefficient `mu`.

    The rows are exact where `mu (X + Y)` is, as for dyadic numbers; rounded ones may have more rays than
    the 16 of `contact_wrench_rays`.

    Returns:
        `A` of shape (16, 6): friction, tilting, then the bounds of the yaw torque from below and from above.

    Raises:
        InvalidInputError: an argument is not a positive finite number.
    """
    _check(mu, X, Y)
    friction = [row for s in SIGNS for row in ([s, 0, -mu, 0, 0, 0], [0, s, -mu, 0, 0, 0])]
    tilting = [row for s in SIGNS for row in ([0, 0, -Y, s, 0, 0], [0, 0, -X, 0, s, 0])]
    # side -1: t_z from below. An absolute value is the larger of its two signs, so one row each.
    yaw = [
        [s * Y, r * X, -mu * (X + Y), side * s * mu, side * r * mu, side]
        for side in SIGNS
        for s, r in product(SIGNS, SIGNS)
    ]
    return Polyhedron([*friction, *tilting, *yaw])


def contact_wrench_rays(mu: float, X: float, Y: float) -> np.ndarray:  # (16, 6)
    """The rays of `contact_wrench_cone`, each with `f_z = 1`.

    Raises:
        InvalidInputError: an argument is not a positive finite number.
    """
    _check(mu, X, Y)
    rays = []
    for x, y, f_x, f_y in product((-X, X), (-Y, Y), (-mu, mu), (-mu, mu)):
        rays.append([f_x, f_y, 1.0, y, -x, x * f_y - y * f_x])
    return np.array(rays)


class ContactWrench(AbstractFamily):
    """Sizes are (feet,), for a product of so many cones; the stated interior direction is an upright push.

    The points are standard normal; more than nine in ten are outside of the cone of a single foot.
    """

    name = "contact_wrench"
    sizes = ((1,), (2,), (4,), (16,))

    def generate(self, size: tuple[int, ...], batch: int, seed: int = 0) -> Instance:
        """The product of the cones with `batch` points; the set does not depend on the seed."""
        (feet,) = unpack_size(self.name, size, "feet")
        check_counts(feet=feet, batch=batch)
        P = Polyhedron.product(*[contact_wrench_cone(MU, X, Y)] * feet)
        points = np.random.default_rng(seed).standard_normal((batch, P.n))
        push = np.tile([0.0, 0.0, 1.0, 0.0, 0.0, 0.0], feet)
        return Instance(f"{self.name}-{P.n}x{P.m}", P, points, interior=push)


def _check(mu: float, X: float, Y: float) -> None:
    for name, value in {"mu": mu, "X": X, "Y": Y}.items():
        if not (np.isfinite(value) and value > 0):
            raise InvalidInputError(f"{name} must be a positive finite number; found {value!r}")
