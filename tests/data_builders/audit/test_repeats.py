"""Repeats, on edits made by hand."""

from dataclasses import replace

from made_up_edits import Draft, clean, gone, made, material, shot

from liveedit_bench.data_builders.audit import repeats
from liveedit_bench.data_builders.audit.finding import Finding


def positions(finding: Finding) -> list[int]:
    return [record.position for record in finding.records]


def test_a_clean_stream_has_none() -> None:
    given = material(*clean(5))
    for check in (
        repeats.duplicates,
        repeats.same_key,
        repeats.conflicting_targets,
        repeats.no_ops,
        repeats.entities_twice,
        repeats.shared_pictures,
        repeats.shared_pictures_other_targets,
    ):
        found = check(given)
        assert (found.count, found.of, found.records, found.groups) == (0, 5, (), ())


def test_duplicates_differ_in_nothing_but_where_they_were_read() -> None:
    elsewhere = replace(made(1), facts=replace(made(1).facts, provenance="record 3"))
    edits = [made(0), made(1), made(2), elsewhere, made(1, rephrase="Another one?")]
    found = repeats.duplicates(material(*edits))
    assert (found.count, found.groups, found.numbers) == (2, ((1, 3),), {"groups": 1, "repetitions": 1})
    assert [record.why for record in found.records] == ["equals #3", "equals #1"]
    assert [record.id for record in found.records] == [edits[1].id, edits[3].id]
    assert edits[1].id != edits[3].id


def test_keys_conflict_only_where_targets_do() -> None:
    edits = [
        made(0, key="a/x", target="red"),
        made(1, key="a/x", target=" RED "),
        made(2, key="b/x", target="red"),
        made(3, key="b/x", target="blue"),
        made(4, key="b/x", target="blue"),
    ]
    same, conflict = repeats.same_key(material(*edits)), repeats.conflicting_targets(material(*edits))
    assert (same.count, same.groups) == (5, ((0, 1), (2, 3, 4)))
    assert (conflict.count, positions(conflict)) == (3, [2, 3, 4])
    assert conflict.records[1].why == "\u201cblue\u201d, but \u201cred\u201d in #2"


def test_a_no_op_changes_case_or_space() -> None:
    edits = [
        made(0, old="red", target="red"),
        made(1, old="two  Dogs", target=" two dogs\u200b"),
        made(2, old="red", target="reds"),
        made(3, old="e\u0301t\u00e9", target="\u00c9T\u00c9"),
    ]
    found = repeats.no_ops(material(*edits))
    assert (found.count, positions(found), found.numbers) == (3, [0, 1, 3], {"letter by letter": 1})


def test_entities_are_counted_and_so_are_those_side_by_side() -> None:
    edits = [made(n, entity=entity) for n, entity in enumerate("aabcbdd")]
    found = repeats.entities_twice(material(*edits))
    assert (found.count, found.of, found.unit) == (3, 4, "entities")
    assert found.numbers == {"edits of these entities": 6, "side by side": 2, "most edits of one entity": 2}
    assert found.groups == ((0, 1), (2, 4), (5, 6))


def test_a_picture_without_a_target_in_common() -> None:
    edits = [
        made(0, image="p.jpg", target="red"),
        made(1, image="p.jpg", target="Red"),
        made(2, image="q.jpg", target="red"),
        made(3, image="q.jpg", target="blue"),
        made(4, image="q.jpg", target="blue"),
        made(5),
    ]
    shared = repeats.shared_pictures(material(*edits))
    other = repeats.shared_pictures_other_targets(material(*edits))
    assert (shared.count, shared.of, shared.numbers) == (5, 6, {"groups": 2, "by path": 5, "by file": 5})
    assert (other.count, other.groups) == (3, ((2, 3, 4),))
    assert other.numbers == {"groups": 1, "targets compared letter by letter": 5, "by path": 3, "by file": 3}


def test_pictures_are_compared_by_path_file_and_pixels() -> None:
    drafts = [Draft(n) for n in range(6)]
    drafts[0].pictures["image"], drafts[1].pictures["image"] = gone("a.jpg"), gone("./a.jpg")
    drafts[2].pictures["image"], drafts[3].pictures["image"] = shot("b.jpg", content="B"), shot("c.jpg", content="B")
    drafts[4].pictures["image"], drafts[5].pictures["image"] = shot("d.jpg"), shot("e.png")
    pixels = {drafts[n].picture("image").sha256: "the same" for n in (4, 5)}
    found = repeats.shared_pictures(material(*(draft.edit() for draft in drafts), pixels=pixels))
    assert found.groups == ((0, 1), (2, 3), (4, 5))
    assert found.numbers == {"groups": 3, "by path": 2, "by file": 2, "by pixels": 2}
