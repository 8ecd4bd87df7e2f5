import pytest

from liveedit_bench.leaderboards import words


def test_shares_and_intervals():
    assert words.share(0.1236) == "0.124"
    assert words.share(-0.5) == "\u22120.500"
    assert words.interval(None) == ""
    assert words.interval((0.25, 1.0)) == "0.250\u20131.000"
    assert words.interval((-0.1, 0.1)) == "\u22120.100 \u2013 0.100"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.9996, "99.9 %"),
        (0.995, "99.5 %"),
        (0.0004, "0.1 %"),
        (0.004, "0.4 %"),
        (0.935, "94 %"),
    ],
)
def test_nearly_all_is_not_all(value: float, said: str):
    assert words.percent(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.00000985, "9.9 µs"), (0.0123, "12.3 ms"), (1.5, "1.5 s"), (125, "2 min 5 s"), (7500, "2 h 5 min"), (0, "0 ms")],
)
def test_durations(value: float, said: str):
    assert words.seconds(value) == said


@pytest.mark.parametrize(("value", "said"), [(0, "0 bytes"), (1023, "1023 bytes"), (4096, "4 KiB"), (1 << 30, "1 GiB")])
def test_sizes(value: float, said: str):
    assert words.size(value) == said


def test_ages_and_plain_values():
    assert words.age((1, 1)) == "1"
    assert words.age((501, 1000)) == "501\u20131,000"
    assert words.plain("a") == "a"
    assert words.plain({"a": [None, 1]}) == '{"a": [null, 1]}'
