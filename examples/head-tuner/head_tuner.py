import torch

from liveedit_bench import Editor, EditRequest, Query


class HeadTuner(Editor):
    name = "head-tuner"

    def edit(self, request: EditRequest) -> None:
        batch = self.backbone.encode([Query(request.image, request.prompt)], [request.target])
        weight = self.backbone.model.get_parameter("lm_head.weight").requires_grad_(True)
        for _ in range(10):
            logits = self.backbone.logits(batch)[:, :-1][batch.answer_mask[:, 1:]]
            loss = torch.nn.functional.cross_entropy(logits, batch.input_ids[batch.answer_mask])
            weight.data -= 0.1 * torch.autograd.grad(loss, weight)[0]
        weight.requires_grad_(False)
