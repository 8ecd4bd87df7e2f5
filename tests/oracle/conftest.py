"""The recorded model and records, loaded once."""

import pytest
from released_code import Oracle


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    return Oracle.load()
