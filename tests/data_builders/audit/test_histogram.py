"""The drawing of target lengths."""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from liveedit_bench.data_builders.audit.histogram import WIDTH, Bar, bars, draw


@given(st.lists(st.integers(0, 300), min_size=1, max_size=200))
def test_every_target_is_in_one_bar(sizes: list[int]) -> None:
    found = bars(sizes)
    assert len(found) <= 16
    for at, bar in enumerate(found):
        inside = [size for size in sizes if size >= bar.low and (bar.high is None or size <= bar.high)]
        assert bar.count == len(inside)
        assert (bar.high is None) <= (at == len(found) - 1)
    assert sum(bar.count for bar in found) == len(sizes)


def test_a_long_tail_is_one_bar() -> None:
    found = bars([*range(1, 5)] * 100 + [900])
    assert found[-1] == Bar(4, None, 101)
    assert [bar.label for bar in found] == ["1", "2", "3", "4+"]
    assert bars([]) == []


@given(st.lists(st.integers(0, 300), min_size=1, max_size=50))
def test_the_drawing_is_xml_within_its_frame(sizes: list[int]) -> None:
    tree = ElementTree.fromstring(draw(sizes, unit="words"))
    rectangles = tree.findall(".//rect")
    assert len(rectangles) == len(bars(sizes))
    for rectangle in rectangles:
        assert 0 <= float(rectangle.attrib["x"]) <= float(rectangle.attrib["x"]) + float(rectangle.attrib["width"])
        assert float(rectangle.attrib["x"]) + float(rectangle.attrib["width"]) <= WIDTH
        assert float(rectangle.attrib["height"]) >= 0


def test_nothing_to_draw() -> None:
    assert draw([], unit="words") == ""
