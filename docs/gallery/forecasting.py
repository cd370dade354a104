"""
Forecast a series
=================

Sunspots, counted each year since 1700: cycles of about eleven years whose height changes. A
GRU forecasts the next year, then feeds on its own forecasts for twenty years. Beside it stands the
classic model of this series, a linear regression on the last nine years, AR(9).
"""

# %%
# The series is in ``statsmodels``. Square roots make its peaks less extreme; the years before 1920
# are for training.

import matplotlib.pyplot as plt
import torch
from statsmodels.datasets import sunspots
from torch import Tensor, nn

from torchrecurrent import GRU

torch.manual_seed(0)
data = sunspots.load_pandas().data
years = torch.tensor(data["YEAR"].to_numpy()).int()
series = torch.tensor(data["SUNACTIVITY"].to_numpy(), dtype=torch.float32).sqrt() / 10
split = int((years < 1920).sum())

figure, axis = plt.subplots(figsize=(6.5, 2.6), layout="constrained")
axis.plot(years, (10 * series).square(), linewidth=1)
axis.axvspan(1920, int(years[-1]), alpha=0.15, label="test")
axis.set(xlabel="year", ylabel="sunspots")
axis.legend()

# %%
# The model: a GRU, and a linear readout of the change from this year to the next.


class Forecaster(nn.Module):
    """Next year's value, ``(T, N, 1)``, after each of ``(T, N, 1)``."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.layer = GRU(1, hidden_size)
        self.read_out = nn.Linear(hidden_size, 1)

    def forward(self, values: Tensor, state: object = None) -> tuple[Tensor, object]:
        output, state = self.layer(values, state)
        return values + self.read_out(output), state


# %%
# Training on windows of 120 years. The first ten years of each warm the state up and don't count.
# A series this short is easily overfitted: the input gets some noise, and the forecast is the mean
# of four models from different seeds.


def trained(seed: int) -> Forecaster:
    torch.manual_seed(seed)
    model = Forecaster(16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for _ in range(400):
        begins = torch.randint(split - 121, (32,))
        window = series[begins + torch.arange(121)[:, None], None]
        window = window + 0.06 * torch.randn_like(window)
        forecast, _ = model(window[:-1])
        loss = (forecast - window[1:])[10:].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


models = [trained(seed) for seed in range(4)]

# %%
# One year ahead over the test years, beside AR(9) and beside "as this year".

with torch.no_grad():
    forecasts = torch.stack([model(series[:-1, None, None])[0].flatten() for model in models])
recurrent = forecasts.mean(0)

lags = series.unfold(0, 9, 1)[:-1]  # a row of nine years for each year from the tenth on
design = torch.cat([lags, torch.ones(len(lags), 1)], 1)
weights = torch.linalg.lstsq(design[: split - 9], series[9:split, None]).solution
linear = (design @ weights).flatten()

truth = series[split:]
print("root mean square error in sunspots: 1920 to 1955, 1956 to 2008")
for name, forecast in (
    ("as this year", series[split - 1 : -1]),
    ("AR(9)", linear[split - 9 :]),
    ("GRU, mean of four", recurrent[split - 1 :]),
):
    errors = ((10 * forecast).square() - (10 * truth).square()).square()
    early, late = (each.mean().sqrt().item() for each in (errors[:36], errors[36:]))
    print(f"{name:18} {early:5.1f} {late:5.1f}")

# %%
# Up to 1955 the two are about equal. Later cycles are higher than any before 1920: the linear
# regression extrapolates to them, the GRU does not. On a series like this try the regression first.

# %%
# Twenty years ahead: from 1988 on each model reads its own forecasts. ``state`` goes back in, so
# each further year costs one step.

start = int((years < 1988).sum())
runs = []
with torch.no_grad():
    for model in models:
        forecast, state = model(series[:start, None, None])
        value, run = forecast[-1:], []
        for _ in range(len(series) - start):
            run.append(value.flatten())
            value, state = model(value, state)
        runs.append(torch.cat(run))
ahead = (10 * torch.stack(runs)).square()

figure, axis = plt.subplots(figsize=(6.5, 3), layout="constrained")
shown = slice(start - 40, None)
axis.plot(years[shown], (10 * series[shown]).square(), color="0.4", label="counted")
axis.plot(years[start:], ahead.T, color="tab:orange", alpha=0.4, linewidth=1)
axis.plot(years[start:], ahead.mean(0), color="tab:orange", label="forecast in 1987")
axis.set(xlabel="year", ylabel="sunspots")
axis.legend(loc="upper left")
plt.show()
