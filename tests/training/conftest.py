import numpy as np
import pytest

from training.typeface import Typeface


@pytest.fixture(scope="session")
def typeface() -> Typeface:
    try:
        return Typeface()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
