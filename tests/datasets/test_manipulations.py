import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from jam_jax.datasets import manipulations
from jam_jax.datasets.manipulations import Sample, generator_of
from jam_jax.errors import JamError


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def mask():
    made = np.zeros((48, 64), np.uint8)
    made[10:30, 20:40] = 255
    made[10, 20:40] = 128
    return made


def with_alpha(picture, mask):
    return np.concatenate([picture, mask[..., None]], axis=2)


def test_transparency_is_laid_on_white_as_the_exporter_does(picture, mask):
    from jam_jax.backbones.pictures import on_white

    rgba = with_alpha(picture, mask)
    np.testing.assert_allclose(
        manipulations.on_white(rgba).astype(int), np.asarray(on_white(Image.fromarray(rgba))).astype(int), atol=1
    )


@pytest.mark.parametrize("name", manipulations.MANIPULATIONS)
def test_every_manipulation_keeps_size_and_type_leaves_its_input_alone_and_repeats_itself(name, picture, mask):
    before = picture.copy(), mask.copy()
    made = [
        manipulations.MANIPULATIONS[name](Sample(picture, mask, picture[::-1], generator_of("item"))) for _ in (0, 1)
    ]
    assert made[0].shape == picture.shape and made[0].dtype == np.uint8
    np.testing.assert_array_equal(*made)
    np.testing.assert_array_equal(picture, before[0])
    np.testing.assert_array_equal(mask, before[1])
    assert not np.shares_memory(made[0], picture)


def test_grayscale_is_that_of_pillow(picture):
    grey = manipulations.grayscale(picture)
    expected = np.asarray(Image.fromarray(picture).convert("L")).astype(int)
    np.testing.assert_allclose(grey[..., 0].astype(int), expected, atol=1)
    assert (grey == grey[..., :1]).all()


def test_rotation_turns_the_middle_as_scipy_does_and_leaves_no_black_corner():
    smooth = ndimage.gaussian_filter(np.random.default_rng(1).uniform(100, 255, (48, 64, 3)), (4, 4, 0))
    pixels = np.clip(smooth, 100, 255).astype(np.uint8)
    turned = manipulations.rotation(pixels, 10)
    expected = ndimage.rotate(pixels.astype(float), 10, reshape=False, order=3, mode="reflect")
    np.testing.assert_allclose(turned[12:36, 16:48], expected[12:36, 16:48], atol=3)
    assert turned.min() >= 95
    np.testing.assert_array_equal(manipulations.rotation(pixels, 0), pixels)


def test_items_turn_either_way_by_their_own_numbers(picture):
    turn = manipulations.MANIPULATIONS["rotation"]
    made = [turn(Sample(picture, None, None, generator_of(f"item {i}"))).tobytes() for i in range(12)]
    ways = {manipulations.rotation(picture, degrees).tobytes() for degrees in (-10, 10)}
    assert set(made) == ways


def test_blur_is_gaussian():
    step = np.zeros((100, 100, 3), np.uint8)
    step[:, 50:] = 200
    blurred = manipulations.blur(step, fraction=0.04)
    expected = ndimage.gaussian_filter(step.astype(float), (4, 4, 0), mode="nearest")
    np.testing.assert_allclose(blurred, expected, atol=6)  # Pillow adds up boxes


def test_shuffled_patches_are_the_same_patches(picture):
    made = manipulations.texture_shuffle(picture, np.random.default_rng(0), patches=4)

    def patches(pixels):
        cut = [pixels[y : y + 12, x : x + 16].tobytes() for y in range(0, 48, 12) for x in range(0, 64, 16)]
        return sorted(cut), cut

    assert patches(made)[0] == patches(picture)[0] and patches(made)[1] != patches(picture)[1]


def test_rows_and_columns_beyond_the_patches_stay(picture):
    made = manipulations.texture_shuffle(picture, np.random.default_rng(0), patches=10)
    np.testing.assert_array_equal(made[40:], picture[40:])
    np.testing.assert_array_equal(made[:, 60:], picture[:, 60:])


def test_removed_and_only_foreground_part_the_picture_exactly(picture, mask):
    removed = manipulations.foreground_removed(picture, mask)
    only = manipulations.only_foreground(picture, mask)
    outside, inside = mask == 0, mask == 255
    np.testing.assert_array_equal(removed[outside], picture[outside])
    np.testing.assert_array_equal(only[inside], picture[inside])
    assert (only[outside] == 255).all()
    flat = np.rint(picture[outside].mean(0))
    np.testing.assert_array_equal(removed[inside], np.broadcast_to(flat, removed[inside].shape))
    edge = mask == 128
    expected = np.rint(picture[edge] * (127 / 255) + flat * (128 / 255))
    np.testing.assert_array_equal(removed[edge], expected)


def test_the_control_takes_as_many_pixels_away_and_keeps_the_object(picture, mask):
    made = manipulations.elsewhere_removed(picture, mask)
    np.testing.assert_array_equal(made[mask == 255], picture[mask == 255])
    flat = np.rint(picture[mask == 0].mean(0))
    assert (made == flat).all(-1).sum() >= (mask == 255).sum()
    removed = manipulations.foreground_removed(picture, mask)
    np.testing.assert_array_equal(removed[47, 63], picture[47, 63])


def test_an_alpha_channel_is_a_mask(picture, mask):
    rgba = with_alpha(picture, mask)
    np.testing.assert_array_equal(manipulations.mask_of(rgba), mask)
    np.testing.assert_array_equal(
        manipulations.only_foreground(rgba)[mask == 255], picture[mask == 255]
    )  # fmt: skip


def test_numbers_belong_to_the_item_and_the_seed():
    draw = [generator_of(item, seed).integers(1 << 60) for item, seed in (("a", 0), ("a", 0), ("b", 0), ("a", 1))]
    assert draw[0] == draw[1] and len(set(draw)) == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: manipulations.grayscale(p[..., 0]), r"a picture has shape \(48, 64\) and type uint8"),
        (lambda p: manipulations.blur(p / 255), "type float64; give uint8"),
        (lambda p: manipulations.only_foreground(p), "neither a mask nor an alpha channel"),
        (lambda p: manipulations.only_foreground(p, np.ones((9, 9), np.uint8)), r"a mask has shape \(9, 9\)"),
        (lambda p: manipulations.foreground_removed(p, np.zeros((48, 64), np.uint8)), "marks none of its picture"),
        (lambda p: manipulations.elsewhere_removed(p, np.ones((48, 64), np.uint8)), "marks all of its picture"),
        (lambda p: manipulations.texture_shuffle(p, np.random.default_rng(0), 50), "cannot be cut into 50 x 50"),
        (
            lambda p: manipulations.MANIPULATIONS["only_background"](Sample(p, None, None, generator_of("a"))),
            "only_background needs the picture as it was",
        ),
    ],
)
def test_bad_input_is_named_in_one_line(picture, call, message):
    with pytest.raises(JamError, match=message) as raised:
        call(picture)
    assert "\n" not in str(raised.value)
