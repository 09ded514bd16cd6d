"""Compiled parts compute the same as plain ones. Compilers that make code of the graphs are left out: they take minutes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tatok.config import TINY_MODEL, ModelConfig, TrainConfig
from tatok.tokenizer import TaTok
from tatok.training.adversary import Adversary
from tatok.training.distributed import Workers
from tatok.training.objective import Objective, Randomness

FIXED = replace(TINY_MODEL, global_tokens=7, patch_codes=False, entropy_layers=0)
SECOND_STAGE = {"trained_part": "decoder", "adversary_weight": 0.5, "adversary_sees": "pixels", "adversary_warmup_steps": 1}


@pytest.mark.parametrize(
    ("config", "options"),
    [(TINY_MODEL, {}), (FIXED, {}), (replace(TINY_MODEL, refinement_width=8), SECOND_STAGE)],
    ids=["tiny", "fixed", "with an adversary"],
)
def test_compiled_parts_have_the_same_loss_and_gradients(config: ModelConfig, options: dict, monkeypatch: pytest.MonkeyPatch):
    plain = _losses_and_gradients(config, options)
    graphs: list[int] = []
    compiler = torch.compile

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable:
        graphs.append(len(graph.graph.nodes))
        return torch._dynamo.lookup_backend("aot_eager")(graph, inputs)

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", lambda f, **options: compiler(f, **options, backend=backend))
    compiled = _losses_and_gradients(config, options, compiled=True)
    assert graphs
    for expected, actual in zip(plain, compiled, strict=True):
        torch.testing.assert_close(actual, expected)


def _losses_and_gradients(config: ModelConfig, options: dict, *, compiled: bool = False) -> list[Tensor]:
    torch.manual_seed(0)
    model, train = TaTok(config).train(), replace(TrainConfig(), model=config, **options)
    adversary = None
    if train.adversary_weight:
        model.requires_grad_(False).decoder.requires_grad_(True)
        adversary = Adversary(train, Workers(rank=0, count=1, device=torch.device("cpu")), compile_judges=compiled)
    objective = Objective(model, train, None, adversary)
    if compiled:
        objective.compile_parts()
    image = torch.rand(8, 3, config.image_size, config.image_size) * 2 - 1
    losses = []
    for seed in range(2):
        randomness = Randomness.make(8, config.patch_tokens, torch.Generator().manual_seed(seed))
        loss, _ = objective(image, randomness, False)
        loss.backward()
        losses.append(loss.detach())
        if adversary is not None:
            losses += adversary.learn().values()
    return losses + [p.grad for p in model.parameters() if p.grad is not None]
