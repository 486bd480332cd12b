"""The normal distribution against the standard library's, tails included."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from backtester.pricing.normal import density, distribution

STANDARD = NormalDist()


def test_the_distribution_is_the_standard_librarys_and_keeps_its_shape() -> None:
    x = np.linspace(-5, 5, 202).reshape(2, 101)
    expected = [[STANDARD.cdf(one) for one in row] for row in x.tolist()]
    np.testing.assert_allclose(distribution(x), expected, rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(density(x), np.vectorize(STANDARD.pdf)(x), rtol=1e-13)
    assert distribution(0.0).shape == ()


def test_the_lower_tail_is_precise_where_the_usual_form_is_zero() -> None:
    # Mills' ratio: between phi(x) / x × (1 - 1/x²) and phi(x) / x
    for x in (10.0, 20.0, 37.0):
        bell = math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        assert bell / x * (1 - 1 / x**2) < float(distribution(-x)) < bell / x


def test_the_ends() -> None:
    np.testing.assert_array_equal(distribution([-np.inf, np.inf]), [0.0, 1.0])
    assert np.isnan(distribution(np.nan))
    with pytest.raises(ValueError, match="could not convert"):
        distribution("a")  # type: ignore[arg-type]
