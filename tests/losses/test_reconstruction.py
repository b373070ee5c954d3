import jax.numpy as jnp
import numpy as np
import pytest

from jam_jax.errors import JamError
from jam_jax.losses import reconstruction


def test_mse_is_the_mean_over_all_entries():
    x, x_hat = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    expected = sum((x[i, j] - x_hat[i, j]) ** 2 for i in range(5) for j in range(3)) / 15
    assert reconstruction.mse(x, x_hat) == pytest.approx(expected, rel=1e-6)
    assert reconstruction.mse(jnp.asarray(x, jnp.bfloat16), x_hat).dtype == jnp.float32


def test_mse_does_not_broadcast():
    with pytest.raises(JamError, match=r"x_hat has shape \(1, 3\); expected \(5, 3\)"):
        reconstruction.mse(np.zeros((5, 3)), np.zeros((1, 3)))


def test_total_weighs_the_mean_of_both_modalities():
    assert reconstruction.total(2.0, 1.0, 3.0, weight=0.1) == pytest.approx(2.2)
