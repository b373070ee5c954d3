import math

import jax
import jax.numpy as jnp
import pytest

from jam_jax.training import schedules


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.05), (100, 0.0), (37, 0.3), (1, 0.05), (1, 1.0), (8, 1.0)])
def test_the_cosine_ends_at_zero_where_it_says(steps, warmup):
    rate = jax.jit(schedules.learning_rate(3e-3, steps, warmup=warmup))
    values = [float(rate(jnp.asarray(step))) for step in range(steps + 1)]
    rising = min(round(warmup * steps), steps - 1)
    for step, value in enumerate(values):
        if step < rising:
            expected = 3e-3 * step / rising
        else:
            expected = 3e-3 * 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))
        assert value == pytest.approx(expected, abs=1e-8)
    assert values[rising] == pytest.approx(3e-3) and values[-1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("start", "end"), [(1.0, 0.1), (0.1, 0.9), (0.5, 0.0)])
def test_alpha_and_lambda_go_in_a_line(start, end):
    value = schedules.linear(start, end, 40)
    for step in range(0, 41, 5):
        assert float(value(jnp.asarray(step))) == pytest.approx(start + (end - start) * step / 40, abs=1e-6)
    assert float(value(jnp.asarray(60))) == pytest.approx(end)


@pytest.mark.parametrize("share", [0.0, 0.004, 0.25, 1.0])
def test_the_weight_of_the_geometry_warms_up(share):
    value = jax.jit(schedules.warm_up(30.0, 40, share=share))
    rising = round(share * 40)
    for step in (0, 1, 5, 10, 39, 40, 60):
        expected = 30.0 * min(1.0, step / rising) if rising else 30.0
        assert float(value(jnp.asarray(step))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("end", [None, 0.5])
def test_without_an_end_nothing_changes(end):
    value = schedules.linear(0.5, end, 40)
    assert [float(value(jnp.asarray(step))) for step in (0, 20, 40)] == [0.5] * 3
