"""The module that FT-M trains, in every family."""

import torch
from tiny_families import Tiny, picture
from torch.nn.functional import cross_entropy

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.ft_m import FtM, FtMOptions
from liveedit_bench.benchmark.editors.target_loss import answered, predicted

SHOWN, UNSHOWN = Query(picture(50), "which clan is this ?"), Query(None, "who lives there ?")


def test_it_stands_between_pictures_and_text(family: HuggingFaceBackbone, tiny: Tiny):
    assert 1 <= len(family.projector) <= (2 if tiny.model_type == "qwen3_vl" else 1)
    shown, unshown = family.encode([SHOWN]), family.encode([UNSHOWN])
    before = family.logits(shown), family.logits(unshown)
    inside = {id(parameter) for block in family.layers for parameter in block.parameters()}
    for parameter in (parameter for module in family.projector for parameter in module.parameters()):
        assert id(parameter) not in inside
        with torch.no_grad():
            parameter.add_(0.1)
    assert not torch.equal(family.logits(shown), before[0])
    assert torch.equal(family.logits(unshown), before[1])


def test_ft_m_makes_an_edit_likelier_and_forgets_it(family: HuggingFaceBackbone):
    """Random projectors are no lever that could make every random model speak a target."""
    edit = EditRequest(SHOWN.image, SHOWN.prompt, "bala")
    batch = answered(family, [edit])

    def loss() -> float:
        return float(cross_entropy(*predicted(family.logits(batch), batch)))

    editor = FtM(family, FtMOptions(lr=1e-2, max_steps=30, stop_loss=0.0))
    before, said = loss(), family.generate([SHOWN, UNSHOWN])
    editor.edit(edit)
    assert loss() < 0.8 * before
    projector = {id(parameter) for module in family.projector for parameter in module.parameters()}
    named = dict(family.model.named_parameters())
    assert {id(named[name]) for name in family.changed_weights()} <= projector
    editor.reset()
    assert family.generate([SHOWN, UNSHOWN]) == said
    assert loss() == before
