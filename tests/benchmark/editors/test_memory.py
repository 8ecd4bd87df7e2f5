import io
from pathlib import Path

from PIL import Image
from safetensors.torch import load, save
from tiny_llava import picture

from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.memory import as_tensors, from_tensors
from liveedit_bench.benchmark.edits import Picture
from liveedit_bench.benchmark.pictures import PictureFile


def test_edits_come_back_as_they_were(tmp_path: Path):
    buffer = io.BytesIO()
    Image.effect_noise((9, 7), 50).convert("RGB").save(buffer, format="JPEG")
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    shown = [picture(1), None, Picture(PictureFile(tmp_path / "a.jpg", "a.jpg")), picture(1)]
    edits = [EditRequest(each, f"wer? “{index}”", "naïve" * index) for index, each in enumerate(shown)]
    state = load(save(as_tensors(edits)))
    # A picture is kept once.
    assert as_tensors(edits[:3])["pictures"].shape == state["pictures"].shape
    pixels = [edit.image and edit.image.open().tobytes() for edit in edits]
    (tmp_path / "a.jpg").unlink()
    back = from_tensors(state)
    assert back == edits
    assert [edit.image and edit.image.open().tobytes() for edit in back] == pixels
    assert from_tensors(as_tensors([])) == []
