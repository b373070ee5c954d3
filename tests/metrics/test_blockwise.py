import numpy as np
import pytest

from jam_jax import metrics
from jam_jax.errors import JamError
from jam_jax.metrics import blockwise
from tests.metrics.public_forms import related


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize(("kernel", "sigma"), [("linear", None), ("rbf", 3.0)])
@pytest.mark.parametrize("rows", [17, pytest.param(8192, marks=pytest.mark.slow)])
def test_cka_in_blocks_is_cka(monkeypatch, kernel, sigma, unbiased, rows):
    monkeypatch.setattr(blockwise, "_BLOCK_ROWS", rows)
    monkeypatch.setattr(blockwise, "_BLOCK_ENTRIES", 40 * rows)
    x, y = related()
    x = x + 100
    expected = metrics.cka(x, y, kernel=kernel, sigma=sigma, unbiased=unbiased)
    got = metrics.blockwise.cka(x, y, kernel=kernel, sigma=sigma, unbiased=unbiased)
    assert got == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_what_never_varies_has_no_similarity(kernel):
    x, y = related()
    assert metrics.blockwise.cka(np.full_like(x, 0.1), y, kernel=kernel, sigma=1.0) == pytest.approx(0, abs=1e-6)


def test_wrong_input_is_named():
    x, y = related()
    with pytest.raises(JamError, match="needs sigma"):
        metrics.blockwise.cka(x, y, kernel="rbf")
    with pytest.raises(JamError, match="'poly' is unknown"):
        metrics.blockwise.cka(x, y, kernel="poly")
    with pytest.raises(JamError, match="3 items are too few"):
        metrics.blockwise.cka(x[:3], y[:3])
