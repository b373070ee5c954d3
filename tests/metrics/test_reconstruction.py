import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from jam_jax.errors import JamError
from jam_jax.metrics import reconstruction


@given(st.integers(0, 2**31), st.integers(2, 20), st.integers(1, 5), st.floats(0, 3))
def test_r2_is_that_of_scikit_learn(seed, n, d, noise):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * rng.uniform(0.1, 10, d) + 100
    x_hat = x + noise * rng.normal(size=(n, d))
    expected = r2_score(x, x_hat, multioutput="variance_weighted")
    assert reconstruction.r2(x, x_hat) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_r2_of_constant_rows_and_inside_jit():
    x = np.ones((4, 2))
    assert reconstruction.r2(x, x) == 1
    assert reconstruction.r2(x, x + 1) == 0
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    assert jax.jit(reconstruction.r2)(x, x * 0.5) == pytest.approx(reconstruction.r2(x, x * 0.5), rel=1e-5)


def test_r2_does_not_broadcast():
    with pytest.raises(JamError, match=r"x has shape \(4, 2\) and x_hat \(2,\)"):
        reconstruction.r2(np.ones((4, 2)), np.ones(2))
