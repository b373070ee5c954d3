import threading

import pytest

from jam_jax.activations.pipeline import ahead


def test_results_come_in_order_and_work_is_bounded():
    made, lock = [], threading.Lock()

    def make(x):
        with lock:
            made.append(x)
        return x * x

    results = ahead(make, iter(range(50)), threads=3, depth=4)
    assert next(results) == 0
    assert len(made) <= 4
    assert list(results) == [x * x for x in range(1, 50)]
    assert sorted(made) == list(range(50))


def test_an_error_is_raised_where_its_result_belongs_and_ends_the_work():
    started = []

    def make(x):
        started.append(x)
        if x == 3:
            raise ValueError("third")
        return x

    found = []
    with pytest.raises(ValueError, match="third"):
        for x in ahead(make, range(1000), threads=2, depth=4):
            found.append(x)
    assert found == [0, 1, 2]
    assert len(started) < 20
