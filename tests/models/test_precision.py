import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jam_jax.models import precision


def rounded(x):
    return np.asarray(x).astype(ml_dtypes.bfloat16).astype(np.float64)


@pytest.mark.parametrize("shape", [(7, 300), (2, 3, 300)])
def test_only_the_factors_are_rounded(shape):
    x, w = jax.random.normal(jax.random.key(0), shape), jax.random.normal(jax.random.key(1), (300, 5))
    out, back = jax.vjp(precision.half_product, x, w)
    ct = jax.random.normal(jax.random.key(2), out.shape)
    dx, dw = back(ct)
    assert out.dtype == dx.dtype == dw.dtype == jnp.float32
    rows = rounded(x).reshape(-1, 300)
    # Sums in float32: against float64 they differ by far less than bfloat16's 2^-9.
    np.testing.assert_allclose(out, rounded(x) @ rounded(w), atol=1e-4)
    np.testing.assert_allclose(dx, rounded(ct) @ rounded(w).T, atol=1e-4)
    np.testing.assert_allclose(dw, rows.T @ rounded(ct).reshape(-1, 5), atol=1e-4)


def test_the_backward_pass_multiplies_bfloat16_too():
    x, w = jnp.ones((4, 8)), jnp.ones((8, 2))
    text = str(jax.make_jaxpr(jax.grad(lambda x, w: precision.half_product(x, w).sum(), (0, 1)))(x, w))
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert len(products) == 3 and "preferred_element_type=float32" in text
    assert not any("f32[4,8] f32[8,2]" in line for line in products)
