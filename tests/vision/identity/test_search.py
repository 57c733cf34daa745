"""The search among enrolled staff: the most similar, and how near the next one is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vision.identity.gallery_record import Stored
from vision.identity.search import Index, packed


def template(*numbers):
    vector = np.array(numbers, np.float32)
    return vector / np.linalg.norm(vector)


def index(**templates):
    return Index([Stored(name, packed(one)) for name, one in templates.items()], dimension=3)


def test_nobody_is_enrolled():
    """Among nobody, nobody is found."""
    assert index().search(template(1, 0, 0)) is None
    assert len(index()) == 0


def test_one_is_enrolled():
    """There is a most similar one, however little; and no next one."""
    found = index(a=template(1, 0, 0)).search(template(1, 1, 0))
    assert found.enrolment == "a"
    assert found.similarity == pytest.approx(0.7071, abs=1e-4)
    assert found.next_similarity is None


def test_the_most_similar_is_found():
    """The next one tells how sure it is which of them."""
    people = index(a=template(1, 0, 0), b=template(0, 1, 0), c=template(0, 0, 1))
    found = people.search(template(0.1, 0.9, 0.3))
    assert found.enrolment == "b"
    assert found.next_similarity == pytest.approx(0.3 / np.sqrt(0.91), abs=1e-4)


def test_a_twin():
    """Two that look the same are equally similar: nobody can say which it is."""
    found = index(a=template(1, 2, 3), b=template(1, 2, 3)).search(template(1, 2, 3))
    assert found.similarity == pytest.approx(found.next_similarity)


@given(st.data(), st.integers(1, 20))
def test_it_is_what_comparing_one_by_one_says(data, count):
    """The similarities are the scalar products, the best and the second best."""
    numbers = st.floats(-1, 1, width=32, allow_subnormal=False)
    rows = data.draw(arrays(np.float32, (count, 3), elements=numbers))
    probe = data.draw(arrays(np.float32, 3, elements=numbers))
    stored = [Stored(str(number), packed(row)) for number, row in enumerate(rows)]
    found = Index(stored, dimension=3).search(probe)
    products = [float(row @ probe) for row in rows]
    assert products[int(found.enrolment)] == pytest.approx(max(products), abs=1e-5)
    assert found.similarity == pytest.approx(max(products), abs=1e-5)
    if count > 1:
        assert found.next_similarity == pytest.approx(sorted(products)[-2], abs=1e-5)


def test_a_template_of_another_size():
    """A template that another recogniser made is an error that says whose."""
    with pytest.raises(ValueError, match="enrolment ab12 is not of 3 numbers"):
        Index([Stored("ab12", bytes(16))], dimension=3)


def test_it_says_nothing_of_faces():
    """What may get into a log holds no template."""
    assert "template" not in repr(Stored("ab12", bytes(12)))
