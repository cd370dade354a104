"""
Irregular samples
=================

A wave is measured at irregular times: is it fast or slow? The values alone say little; it takes the
time since the sample before. Three ways to pass that: not at all, as one more input, and as ``dt``,
the time step of a cell that follows a differential equation.
"""

# %%
# Waves of two ranges of frequency, with noise, each at forty times with gaps from .02 to 1.

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from torchrecurrent import GRU, LEM, CfC

torch.manual_seed(0)
SAMPLES = 40


def waves(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values and gaps ``(T, N)``, and whether a wave is fast, ``(N,)``."""
    gaps = torch.exp(torch.empty(SAMPLES, count).uniform_(-4, 0))
    fast = torch.randint(2, (count,)).float()
    frequency = torch.empty(count).uniform_(0.6, 1.0) * (1 + fast)
    phase = 6.283 * torch.rand(count)
    values = torch.sin(6.283 * frequency * gaps.cumsum(0) + phase)
    return values + 0.1 * torch.randn_like(values), gaps, fast


values, gaps, fast = waves(8)
figure, axes = plt.subplots(2, 1, figsize=(6, 3), sharex=True, layout="constrained")
for axis, label in zip(axes, (0, 1), strict=True):
    k = int((fast == label).nonzero()[0])
    axis.plot(gaps[:, k].cumsum(0), values[:, k], "o-", markersize=3, linewidth=0.5)
    axis.set_ylabel("fast" if label else "slow")
axes[1].set_xlabel("time")

# %%
# A GRU of the values, a GRU of values and gaps, and two of the layers that take ``dt``;
# :doc:`/layer` names them all.


class Classifier(nn.Module):
    """A score for each wave, ``(N,)``."""

    def __init__(self, layer: nn.Module, time: str) -> None:
        super().__init__()
        self.layer, self.time = layer, time
        self.read_out = nn.Linear(32, 1)

    def forward(self, values: Tensor, gaps: Tensor) -> Tensor:
        input = torch.stack([values, gaps], -1) if self.time == "input" else values[..., None]
        output, _ = self.layer(input, dt=gaps) if self.time == "dt" else self.layer(input)
        score: Tensor = self.read_out(output.mean(0))
        return score[:, 0]


models = {
    "GRU, values alone": Classifier(GRU(1, 32), "none"),
    "GRU, gaps as an input": Classifier(GRU(2, 32), "input"),
    "CfC, gaps as dt": Classifier(CfC(1, 32), "dt"),
    "LEM, gaps as dt": Classifier(LEM(1, 32), "dt"),
}

# %%
# Training, each on the same waves.

figure, axis = plt.subplots(figsize=(5.5, 3), layout="constrained")
test_values, test_gaps, test_fast = waves(1000)
for name, model in models.items():
    torch.manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    accuracies = []
    for step in range(1, 401):
        values, gaps, fast = waves(64)
        loss = binary_cross_entropy_with_logits(model(values, gaps), fast)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            with torch.no_grad():
                right = (model(test_values, test_gaps) > 0) == (test_fast > 0)
            accuracies.append(right.double().mean().item())
    print(f"{name:22} test accuracy {accuracies[-1]:.3f}")
    axis.plot(range(20, 401, 20), accuracies, label=name)
axis.set(xlabel="training step", ylabel="test accuracy", ylim=(0.45, 1))
axis.legend(loc="lower right")
plt.show()

# %%
# The models need the time, but ``dt`` is no guarantee: one of these two cells is better than the
# GRU that reads the gaps, and the other is worse. This is one seed of one task; try both ways on
# yours.
