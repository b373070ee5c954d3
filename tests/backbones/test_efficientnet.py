import numpy as np
import pytest

torch = pytest.importorskip("torch")
package = pytest.importorskip("efficientnet_lite_pytorch")

from PIL import Image  # noqa: E402

from jam_jax import backbones  # noqa: E402
from jam_jax.errors import JamError  # noqa: E402


def test_layers_end_in_the_features_of_the_package(tmp_path):
    torch.manual_seed(0)
    model = package.EfficientNet.from_name("efficientnet-lite0").eval()
    torch.save(model.state_dict(), tmp_path / "lite0.pth")
    backbone = backbones.load(str(tmp_path), name="lite")
    assert backbone.widths == (32, 16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320, 1280)
    assert backbone.prefix_tokens == 0
    batch = backbone.preprocess([Image.effect_noise((64, 64), 80).convert("RGB")])
    hidden = backbone.hidden_states(batch)
    assert [h.shape[1] for h in hidden[::4]] == [112 * 112, 28 * 28, 14 * 14, 7 * 7, 7 * 7]
    with torch.inference_mode():
        expected = model.extract_features(torch.tensor(batch["pixels"]))
    np.testing.assert_allclose(hidden[-1].mean(axis=1), expected.mean((2, 3)).numpy(), atol=1e-5)
    assert backbone.mask(batch).all()


def test_normalisation_is_that_of_the_tensorflow_original(tmp_path):
    from jam_jax.backbones.efficientnet import PREPROCESSING

    grey = Image.new("RGB", (10, 10), (127, 255, 0))
    np.testing.assert_allclose(PREPROCESSING([grey])[0, :, 0, 0], [0, 1, -127 / 128], atol=1e-6)


def test_other_tensors_are_refused(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(JamError, match="does not hold the weights of EfficientNet-Lite0"):
        backbones.load(str(tmp_path))
