"""Values and gradients against PyTorch's automatic differentiation in float64."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.losses import reference
from tests.losses.test_contrastive import differentiable, gradients, problems, values

torch = pytest.importorskip("torch")


def torch_values(p, vision, language, negatives, scale):
    """con, negcon, spread, con_con, context_nce from one table of logits [N, N + N * K]."""
    n, k = p.mask.shape
    unit = torch.nn.functional.normalize
    texts = torch.cat([unit(language, dim=-1), unit(negatives, dim=-1).flatten(0, 1)])
    logits = scale * unit(vision, dim=-1) @ texts.T
    diagonal = torch.eye(n, dtype=torch.bool)
    counts = torch.from_numpy(~p.same) | diagonal
    negative_counts = torch.from_numpy(p.mask)[None] & ~torch.from_numpy(p.same_negatives)
    own = negative_counts & diagonal[:, :, None]
    in_context = diagonal | (counts & torch.from_numpy(p.context))

    def over(*members):
        columns = torch.cat([m.flatten(1) for m in members], dim=1)
        return logits[:, : columns.shape[1]].masked_fill(~columns, -torch.inf).logsumexp(1)

    positive = logits.diagonal()
    everything, context = over(counts, negative_counts), over(in_context, own)
    backward = (logits[:, :n].masked_fill(~counts, -torch.inf).logsumexp(0) - positive).mean()
    coarse, fine = (everything - context).mean(), (context - positive).mean()
    return torch.stack(
        [
            ((over(counts) - positive).mean() + backward) / 2,
            ((everything - positive).mean() + backward) / 2,
            ((1 - p.alpha) * coarse + p.alpha * fine + backward) / 2,
            coarse,
            fine,
        ]
    )


@settings(deadline=None, max_examples=60)
@given(problems)
def test_values_and_gradients_are_those_of_torch(p):
    inputs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in p[:4]]
    expected = torch_values(p, *inputs)
    np.testing.assert_allclose(values(p), expected.detach(), rtol=1e-5, atol=2e-7 * (1 + p.scale))
    got = gradients(differentiable(p), p)
    for row, name in enumerate(reference.NAMES):
        for argument, gradient in zip(
            differentiable(p),
            torch.autograd.grad(expected[row], inputs, retain_graph=True, allow_unused=True),
            strict=True,
        ):
            wanted = np.zeros(np.shape(got[argument][row])) if gradient is None else gradient.numpy()
            # Relative to the largest entry of the row of gradients: single entries cancel to any size.
            tolerance = 1e-5 * max(abs(wanted).max(initial=0), 0.02 * p.scale)
            np.testing.assert_allclose(
                got[argument][row], wanted, rtol=1e-5, atol=tolerance, err_msg=f"{name} {argument}"
            )
