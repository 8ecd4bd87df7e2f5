import json

import pytest
from fakes import FakeBackbone

from liveedit_bench.runners.environment import describe, peak_memory_bytes, without_credentials


def test_the_environment_is_plain_and_names_what_matters():
    found = describe(FakeBackbone())
    json.dumps(found, allow_nan=False)
    assert {"python", "cpu", "threads", "versions", "device"} <= found.keys()
    assert {"torch", "numpy", "transformers"} <= found["versions"].keys()
    assert peak_memory_bytes(FakeBackbone().device) > 10 * 2**20


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://user:token@example.org/a/b.git", "https://example.org/a/b.git"),
        ("https://token@example.org/a.git", "https://example.org/a.git"),
        ("https://example.org/a@b.git", "https://example.org/a@b.git"),
        ("ssh://git@example.org/a.git", "ssh://example.org/a.git"),
    ],
)
def test_credentials_are_removed(url: str, clean: str):
    assert without_credentials(url) == clean
