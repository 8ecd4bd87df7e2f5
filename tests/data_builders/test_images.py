import io
import os
import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image

from liveedit_bench.benchmark.edits import Picture
from liveedit_bench.data_builders.images import Resolver
from liveedit_bench.data_builders.manifest import read_manifest
from liveedit_bench.errors import BenchError


def jpeg(shade: int = 1) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (shade, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def put(file: Path, data: bytes | None = None) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(jpeg() if data is None else data)
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("at", "roots", "given"),
    [
        ("images/val2014/x.jpg", [], "images"),
        ("images/coco/val2014/x.jpg", ["", "coco/"], "images"),
        ("images/a/b/val2014/x.jpg", ["a", "a/b"], "images"),
        ("images/val2014/x.jpg", [], "images/val2014"),
    ],
)
def test_the_layouts_seen_in_the_wild_are_found(at: str, roots: list[str], given: str, tmp_path: Path) -> None:
    put(tmp_path / at)
    picture = Resolver(tmp_path / given, roots=roots).resolve("val2014/x.jpg")
    assert not picture.missing
    assert picture.path == "val2014/x.jpg"
    assert picture.open().size == (6, 4)


def test_the_first_folder_wins_and_one_path_is_one_picture(root: Path) -> None:
    put(root / "x.jpg", jpeg(10))
    put(root / "old" / "x.jpg", jpeg(200))
    resolver = Resolver(root, roots=["old"])
    assert resolver.resolve("x.jpg").open().getpixel((0, 0)) == Image.open(root / "x.jpg").getpixel((0, 0))
    assert resolver.resolve("x.jpg") is resolver.resolve("x.jpg")


def test_a_missing_picture_says_which_folders_were_looked_in(root: Path) -> None:
    picture = Resolver(root, roots=["mmkb_images", "VLKEB_images"]).resolve("m.01/google_15.jpg")
    assert picture.missing
    folders = [str(root / "m.01"), str(root / "mmkb_images" / "m.01"), str(root / "VLKEB_images" / "m.01")]
    with pytest.raises(BenchError) as raised:
        picture.open()
    assert f"(looked in {', '.join(folders)})" in str(raised.value)
    (entry,) = Resolver(root, roots=["mmkb_images", "VLKEB_images"]).check(["m.01/google_15.jpg"]).entries
    assert entry.looked_in == tuple(folders)
    assert entry.problem == "there is no m.01/google_15.jpg"


def test_a_root_that_is_no_folder_is_told(root: Path) -> None:
    for wrong in (root / "nowhere", put(root / "x.jpg")):
        with pytest.raises(BenchError, match="is no folder; give the one that holds the pictures with --images"):
            Resolver(wrong)


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../secret.jpg", "a/../../secret.jpg", "{outside}/secret.jpg", "link/../secret.jpg", "", "a\0b"],
)
def test_paths_out_of_the_folder_are_refused(path: str, root: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "secret.jpg")
    put(tmp_path / "secret.jpg")
    (tmp_path / "elsewhere" / "deep").mkdir()
    (root / "a").mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere" / "deep")  # link/.. is the folder elsewhere, not the root
    path = path.format(outside=tmp_path / "elsewhere")
    resolver = Resolver(root)
    with pytest.raises(BenchError, match=r"lies outside .*images|is no path of a picture"):
        resolver.resolve(path)
    (entry,) = resolver.check([path]).entries
    assert entry.status == "refused"
    assert entry.sha256 is None


def test_climbing_and_absolute_paths_that_stay_inside_are_followed(root: Path) -> None:
    put(root / "b" / "x.jpg")
    (root / "a").mkdir()
    resolver = Resolver(root)
    for path in ("a/../b/x.jpg", str(root / "b" / "x.jpg"), "./b//x.jpg"):
        assert resolver.resolve(path).open().size == (6, 4)
    assert resolver.resolve(str(root / "b" / "y.jpg")).missing


def test_links_of_the_folder_s_owner_are_followed(root: Path, tmp_path: Path) -> None:
    put(tmp_path / "coco" / "val2014" / "x.jpg")
    (root / "val2014").symlink_to(tmp_path / "coco" / "val2014")
    resolver = Resolver(root)
    assert resolver.resolve("val2014/x.jpg").open().size == (6, 4)
    (tmp_path / "other").symlink_to(root)
    assert not Resolver(tmp_path / "other").resolve("val2014/x.jpg").missing
    assert resolver.resolve(str(root / "val2014" / "x.jpg")).open().size == (6, 4)
    (root / "loop").symlink_to(root / "loop")
    assert resolver.resolve("loop/x.jpg").missing


@pytest.mark.parametrize("path", ["x" * 5000, "folder", "x.jpg/y.jpg", "na\u00efve.jpg", "a\nb.jpg"])
def test_odd_names_are_just_missing(path: str, root: Path) -> None:
    (root / "folder").mkdir()
    put(root / "x.jpg")
    assert Resolver(root).resolve(path).missing


@given(
    parts=st.lists(st.sampled_from(["..", ".", "", "/", "a", "x.jpg", "secret.jpg", "images", "val2014"]), max_size=6),
    start=st.sampled_from(["", "/", "{root}/", "{root}/../", "//"]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_leads_out_of_the_folder(
    parts: list[str], start: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    top = tmp_path_factory.getbasetemp() / "climbing"
    root = top / "images"
    for file in (top / "secret.jpg", top / "x.jpg", root / "x.jpg", root / "a" / "x.jpg", root / "val2014" / "x.jpg"):
        put(file)
    try:
        file, _ = Resolver(root, roots=["a", "val2014"]).find(start.format(root=root) + "/".join(parts))
    except BenchError:
        return
    assert file is None or file.resolve().is_relative_to(root.resolve())


def test_nothing_is_read_before_somebody_looks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root / "x.jpg")

    def refuse(*_: object) -> bytes:
        raise AssertionError("read")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    picture = Resolver(root).resolve("x.jpg")
    with pytest.raises(AssertionError, match="read"):
        _ = picture.sha256


def test_the_check_tells_good_pictures_from_bad_ones(root: Path) -> None:
    put(root / "good.jpg")
    put(root / "copy" / "of.jpg")
    Image.open(root / "good.jpg").save(root / "same.png")
    Image.new("RGBA", (3, 2)).save(root / "alpha.png")
    put(root / "text.jpg", b"version https://git-lfs.github.com/spec/v1")
    Image.effect_noise((64, 64), 80).save(root / "cut.jpg")
    put(root / "cut.jpg", (root / "cut.jpg").read_bytes()[:-600])
    paths = ["good.jpg", "copy/of.jpg", "same.png", "alpha.png", "text.jpg", "cut.jpg", "gone.jpg", "good.jpg", "../x"]
    manifest = Resolver(root).check(paths, workers=3)
    assert [entry.path for entry in manifest.entries] == list(dict.fromkeys(paths))
    assert manifest.counts == {"ok": 4, "missing": 1, "broken": 2, "refused": 1}
    good, copy, same, alpha = (manifest.by_path[path] for path in paths[:4])
    assert good.sha256 == copy.sha256 != same.sha256
    assert good.pixels_sha256 == copy.pixels_sha256 == same.pixels_sha256 != alpha.pixels_sha256
    assert (good.width, good.height, good.format, good.mode, good.bytes) == (6, 4, "JPEG", "RGB", len(jpeg()))
    assert (alpha.mode, alpha.format) == ("RGBA", "PNG")
    assert "text.jpg is no picture: it begins with 'version https" in (manifest.by_path["text.jpg"].problem or "")
    assert "cut.jpg is damaged" in (manifest.by_path["cut.jpg"].problem or "")
    assert manifest.by_path["cut.jpg"].sha256


def test_pictures_of_a_manifest_are_known_without_being_read_again(root: Path) -> None:
    put(root / "good.jpg")
    put(root / "text.jpg", b"text")
    resolver = Resolver(root)
    manifest = resolver.check(["good.jpg", "text.jpg", "gone.jpg"])
    expected = resolver.resolve("good.jpg").sha256
    (root / "good.jpg").unlink()
    good = manifest.picture("good.jpg")
    assert (good.sha256, good.path, good.missing) == (expected, "good.jpg", False)
    assert manifest.picture("text.jpg").missing
    assert manifest.picture("gone.jpg") == resolver.resolve("gone.jpg")
    with pytest.raises(KeyError):
        manifest.picture("never seen.jpg")


def test_a_file_that_may_not_be_read_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root / "x.jpg")

    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    (entry,) = Resolver(root).check(["x.jpg"]).entries
    assert entry.status == "broken"
    assert f"x.jpg cannot be read ({root / 'x.jpg'}: Permission denied)" in (entry.problem or "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_entered_is_told(root: Path) -> None:
    put(root / "closed" / "x.jpg")
    (root / "closed").chmod(0)
    try:
        (entry,) = Resolver(root).check(["closed/x.jpg"]).entries
    finally:
        (root / "closed").chmod(0o755)
    assert entry.status == "broken"
    assert "Permission denied" in (entry.problem or "")


def test_the_complaint_counts_names_and_says_where(root: Path) -> None:
    put(root / "good.jpg")
    put(root / "text.jpg", b"text")
    paths = ["good.jpg", *(f"val2014/{number}.jpg" for number in range(1200)), "text.jpg", "../x.jpg"]
    manifest = Resolver(root, roots=["coco"]).check(paths, progress=False)
    with pytest.raises(BenchError) as raised:
        manifest.require_all()
    said = str(raised.value)
    assert "\n" not in said
    folders = f"{root}/val2014, {root}/coco/val2014"
    first = "val2014/0.jpg, val2014/1.jpg, val2014/2.jpg and 1,197 more"
    assert f"1,200 of 1,203 pictures are missing: {first}; the first was looked for in {folders};" in said
    assert "1 of 1,203 pictures is no picture that can be read: text.jpg is no picture: it begins with 'text'" in said
    assert "1 of 1,203 pictures is outside the image root: the picture '../x.jpg' lies outside" in said
    assert "--on-missing-image skip-edit" in said
    Resolver(root).check(["good.jpg"]).require_all()


def test_a_manifest_is_written_and_read(root: Path, tmp_path: Path) -> None:
    put(root / "b.jpg")
    paths = ["b.jpg", "a.jpg", "../c.jpg"]
    manifest = Resolver(root).check(paths)
    lines = manifest.lines()
    assert lines == Resolver(root).check(paths[::-1], workers=1).lines()
    (tmp_path / "pictures.jsonl").write_bytes(lines)
    read = read_manifest(tmp_path / "pictures.jsonl")
    assert read.by_path == manifest.by_path
    assert [entry.path for entry in read.entries] == sorted(paths)
    for wrong in (b"{}\n", b'{"path": 1}\n', b"no json"):
        (tmp_path / "wrong").write_bytes(wrong)
        with pytest.raises(BenchError, match="is no manifest of pictures"):
            read_manifest(tmp_path / "wrong")


def test_a_short_scan_is_quiet_and_a_long_one_shows_a_bar(
    root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root / "x.jpg")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    resolver = Resolver(root)
    resolver.check(["x.jpg"])
    assert capfd.readouterr() == ("", "")
    resolver.check(map(str, range(600)), progress=False)
    assert capfd.readouterr() == ("", "")
    resolver.check(map(str, range(600)))
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "600/600" in shown.err
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    resolver.check(map(str, range(600)))
    assert capfd.readouterr().err.strip() == ""


FEW_HANDLES = """
import resource, sys
from pathlib import Path
from liveedit_bench.data_builders.images import Resolver
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
resolver = Resolver(Path(sys.argv[1]))
paths = [f"{n}.png" for n in range(10_000)]
pictures = [resolver.resolve(path) for path in paths]
images = [picture.open() for picture in pictures]
digests = {picture.sha256 for picture in pictures}
manifest = resolver.check(paths, progress=False)
print(len(images), len(digests), manifest.counts["ok"])
"""


def test_ten_thousand_pictures_need_few_file_handles(root: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "PNG")
    for number in range(10_000):
        (root / f"{number}.png").write_bytes(buffer.getvalue())
    done = subprocess.run([sys.executable, "-c", FEW_HANDLES, root], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("10000 1 10000\n", "")


def test_a_picture_of_a_file_equals_the_generated_one_by_pixels_only(root: Path) -> None:
    Image.new("RGB", (2, 2), "red").save(root / "x.png")
    manifest = Resolver(root).check(["x.png"])
    drawn = Picture(lambda: Image.new("RGB", (2, 2), "red"))
    assert manifest.entries[0].pixels_sha256 == drawn.sha256
    assert manifest.picture("x.png") != drawn
