from small_streams import numbers, plain

from liveedit_bench.benchmark.plugins import load_stream
from liveedit_bench.data_builders.scenarios import arrange


def test_file_order_keeps_the_order_and_so_does_the_runner():
    stream = arrange(plain(20), ["file-order"], seed=3)
    assert numbers(stream) == list(range(20))
    assert numbers(load_stream(stream, edits=20, seed=9)) == list(range(20))
    assert numbers(load_stream(plain(20), edits=20, seed=9)) != list(range(20))


def test_file_order_of_a_part_is_a_part_of_the_file_order():
    whole = plain(20)
    assert arrange(whole, ["file-order"])[:7].sha256 == arrange(whole[:7], ["file-order"]).sha256


def test_shuffled_is_what_the_runner_does_without_a_scenario():
    stream = arrange(plain(20), ["shuffled"], seed=5)
    assert numbers(stream) == numbers(plain(20).shuffled(5)) == numbers(load_stream(plain(20), edits=20, seed=5))
    assert sorted(numbers(stream)) == list(range(20))
    assert numbers(arrange(plain(20), ["shuffled"], seed=6)) != numbers(stream)
