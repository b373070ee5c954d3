"""Log-sum-exp of scaled cosines over rows and columns at once, block by block, and its gradient: O(N) memory.

For unit vectors a_i and b_j and a scale s let S_ij = s a_i.b_j. ``accumulate`` brings the running sums of all rows i
and columns j up to date with a set of columns; ``gradients`` computes every block again instead of keeping it, so value
and gradient take 4/3 of the arithmetic of the dense way and no N x N array. Both read the sums of rows and of columns
off the same block. Sets of columns may come one after the other, as they do in a ring of devices.

Entry (i, j) takes part unless an id is negative (padding, an invalid negative), or the keys of i and j are equal while
their ids differ (the caption of another row that shows the same thing).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jam_jax.losses.latents import matmul

BLOCK = 1024
NOTHING = -1e30  # for entries that do not take part: finite, so that no difference is NaN


class Ids(NamedTuple):
    """Who the rows or the columns are: int32 [n] both; see the top of this file."""

    key: jax.Array
    id: jax.Array


class Sums(NamedTuple):
    """Running sums of exponentials, float32 [n]: total * exp(largest)."""

    largest: jax.Array
    total: jax.Array

    @classmethod
    def empty(cls, count: int) -> "Sums":
        """Sums of nothing."""
        return cls(jnp.full(count, NOTHING), jnp.zeros(count))

    def log(self) -> jax.Array:
        """The log-sum-exp [n]; about -1e30 where nothing was summed."""
        return self.largest + jnp.log(jnp.maximum(self.total, jnp.finfo(jnp.float32).tiny))

    def merged(self, largest: jax.Array, total: jax.Array) -> "Sums":
        """These sums and others of the same rows."""
        both = jnp.maximum(self.largest, largest)
        return Sums(both, self.total * jnp.exp(self.largest - both) + total * jnp.exp(largest - both))


def accumulate(
    a_NxH: jax.Array, b_MxH: jax.Array, rows: Ids, columns: Ids, row_sums: Sums, column_sums: Sums, block: int
) -> tuple[Sums, Sums]:
    """Running sums of rows [N] and columns [M] with the entries of these N x M added; N and M multiples of ``block``.

    ``a_NxH`` has the scale in it.
    """

    def of_rows(column_sums: Sums, row: tuple[jax.Array, Ids, Sums]) -> tuple[Sums, Sums]:
        a_BxH, row_ids, row_sums = row

        def of_block(row_sums: Sums, column: tuple[jax.Array, Ids, Sums]) -> tuple[Sums, Sums]:
            b_BxH, column_ids, column_sums = column
            s_BxB = _entries(a_BxH, b_BxH, row_ids, column_ids)
            row_B, column_B = s_BxB.max(1), s_BxB.max(0)
            merged = row_sums.merged(row_B, jnp.exp(s_BxB - row_B[:, None]).sum(1))
            return merged, column_sums.merged(column_B, jnp.exp(s_BxB - column_B).sum(0))

        row_sums, column_sums = jax.lax.scan(of_block, row_sums, (*columns_in, column_sums))
        return column_sums, row_sums

    columns_in = _blocks((b_MxH, columns), block)
    column_sums, row_sums = jax.lax.scan(of_rows, _blocks(column_sums, block), _blocks((a_NxH, rows, row_sums), block))
    return _flat(row_sums), _flat(column_sums)


def gradients(
    a_NxH: jax.Array, b_MxH: jax.Array, rows: Ids, columns: Ids, row_terms: "Terms", column_terms: "Terms", block: int
) -> tuple[jax.Array, jax.Array]:
    """Gradients [N, H] and [M, H] of what the terms say, with respect to ``a_NxH`` and ``b_MxH``; blocks as above."""

    def of_rows(db: jax.Array, row: tuple[jax.Array, Ids, Terms]) -> tuple[jax.Array, jax.Array]:
        a_BxH, row_ids, of_row = row

        def of_block(da_BxH: jax.Array, column: Any) -> tuple[jax.Array, jax.Array]:
            b_BxH, column_ids, of_column, db_BxH = column
            s_BxB = _entries(a_BxH, b_BxH, row_ids, column_ids)
            # Where all of a row is left out its log is that of nothing: exponents near 0, gradients 0 by the weight.
            ds_BxB = jnp.exp(s_BxB - of_row.log[:, None]) * of_row.weight[:, None]
            ds_BxB += jnp.exp(s_BxB - of_column.log) * of_column.weight
            ds_BxB = jnp.where(s_BxB > NOTHING, ds_BxB, 0.0)
            return da_BxH + matmul(ds_BxB, b_BxH), db_BxH + matmul(ds_BxB.T, a_BxH)

        da_BxH, db = jax.lax.scan(of_block, jnp.zeros_like(a_BxH), (*columns_in, db))
        return db, da_BxH

    columns_in = _blocks((b_MxH, columns, column_terms), block)
    db, da = jax.lax.scan(of_rows, _blocks(jnp.zeros_like(b_MxH), block), _blocks((a_NxH, rows, row_terms), block))
    return da.reshape(a_NxH.shape), db.reshape(b_MxH.shape)


class Terms(NamedTuple):
    """A weighted sum of log-sum-exps, float32 [n] both: what they are, and the weight of each."""

    log: jax.Array
    weight: jax.Array


def padded(x: Any, block: int, fill: float = 0) -> Any:
    """Every array of a tree with rows of ``fill`` added, so that their number is a multiple of the block."""
    return jax.tree.map(
        lambda leaf: jnp.pad(leaf, ((0, -len(leaf) % block), *((0, 0),) * (leaf.ndim - 1)), constant_values=fill), x
    )


def _entries(a_BxH: jax.Array, b_CxH: jax.Array, rows: Ids, columns: Ids) -> jax.Array:
    """S with a number that sums to nothing where an entry does not take part."""
    known = (rows.id >= 0)[:, None] & (columns.id >= 0)
    same = (rows.key[:, None] == columns.key) & (rows.id[:, None] != columns.id)
    return jnp.where(known & ~same, matmul(a_BxH, b_CxH.T), NOTHING)


def _blocks(x: Any, block: int) -> Any:
    return jax.tree.map(lambda leaf: leaf.reshape(-1, block, *leaf.shape[1:]), x)


def _flat(sums: Sums) -> Sums:
    return Sums(*(leaf.reshape(-1) for leaf in sums))
