import torch
from torch import nn

from tatok.training.muon import Muon, orthogonalise


def test_a_batch_steps_as_pytorch_steps_one_matrix_after_another():
    generator = torch.Generator().manual_seed(0)
    shapes = [(24, 8), (8, 24), (16, 16), (24, 8), (8, 24)]
    start = [torch.randn(s, generator=generator) for s in shapes]
    ours, theirs = ([nn.Parameter(x.clone()) for x in start] for _ in range(2))
    optimizers = (
        Muon(ours, lr=0.02, weight_decay=0.1),
        torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(4):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for a, b, before in zip(ours, theirs, start, strict=True):
        assert (a - before).norm() > 0.1
        # bfloat16 products of a batch and of single matrices round differently.
        assert (a - b).norm() < 0.02 * (b - before).norm()


def test_a_matrix_without_gradient_stays():
    parameters = [nn.Parameter(torch.ones(4, 4)) for _ in range(2)]
    parameters[0].grad = torch.eye(4)
    Muon(parameters, lr=0.1, weight_decay=0.1).step()
    assert torch.equal(parameters[1], torch.ones(4, 4))
    assert not torch.equal(parameters[0], torch.ones(4, 4))


def test_orthogonalised_matrices_have_singular_values_near_one():
    matrices = torch.randn(3, 6, 40, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalise(matrices).float())
    assert values.min() > 0.6
    assert values.max() < 1.3
