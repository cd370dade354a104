"""
Classify sequences of different lengths
=======================================

Nine speakers say two Japanese vowels, in 7 to 29 frames of twelve numbers. A bistable layer tells
them apart, and an output at each step shows how soon it does. The recordings come with the package.
"""

# %%
# The data: 270 recordings to train on, 370 to test with, each channel scaled to mean 0 and
# variance 1.

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from torchrecurrent import nBR
from torchrecurrent.studies.tasks.vowels import CHANNELS, SPEAKERS, load

torch.manual_seed(0)
train, test = load("train"), load("test")
frames = torch.cat(train.sequences)
mean, deviation = frames.mean(0), frames.std(0)


def padded(sequences: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Scaled sequences as one tensor ``(T, N, 12)``, and their lengths."""
    scaled = [(each - mean) / deviation for each in sequences]
    return pad_sequence(scaled), torch.tensor([len(each) for each in scaled])


input, lengths = padded(train.sequences)
print(tuple(input.shape), f"lengths from {lengths.min()} to {lengths.max()}")

figure, axes = plt.subplots(1, 3, figsize=(6.5, 2.4), sharey=True, layout="constrained")
for axis, k in zip(axes, (0, 100, 200), strict=True):
    axis.imshow(input[: lengths[k], k].T, vmin=-2.5, vmax=2.5, cmap="RdBu", aspect="auto")
    axis.set(title=f"speaker {train.speakers[k]}", xlabel="frame")
axes[0].set_ylabel("channel")

# %%
# The model. With ``lengths`` no step of padding is computed, and ``h_n`` is the state after each
# sequence's own last step.

layer = nBR(CHANNELS, 32)
read_out = nn.Linear(32, SPEAKERS)
optimizer = torch.optim.Adam([*layer.parameters(), *read_out.parameters()], lr=0.01)
print(layer.explain(input, lengths=lengths))

# %%
# Training on batches of 64, and the accuracy on the test set as it goes.

test_input, test_lengths = padded(test.sequences)
accuracies = []
for step in range(1, 301):
    chosen = torch.randint(len(train), (64,))
    _, h_n = layer(input[:, chosen], lengths=lengths[chosen])
    loss = cross_entropy(read_out(h_n[-1]), train.speakers[chosen])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        with torch.no_grad():
            scores = read_out(layer(test_input, lengths=test_lengths)[1][-1])
        accuracies.append((scores.argmax(1) == test.speakers).double().mean().item())

commonest = test.speakers.bincount().max().item() / len(test)
print(f"test accuracy {accuracies[-1]:.3f}; always the commonest speaker: {commonest:.3f}")

figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
axis.plot(range(10, 301, 10), accuracies, label="nBR, 32 units")
axis.axhline(commonest, color="0.5", linestyle="--", label="commonest speaker")
axis.set(xlabel="training step", ylabel="test accuracy", ylim=(0, 1))
axis.legend()

# %%
# How soon does it know? The same readout after every frame: the probability of the right speaker,
# over all test recordings that are still running then.

with torch.no_grad():
    output, _ = layer(test_input, lengths=test_lengths)
    probabilities = read_out(output).softmax(-1)
right = probabilities.gather(-1, test.speakers.expand(len(output), -1)[..., None]).squeeze(-1)
running = torch.arange(len(output))[:, None] < test_lengths
quartiles = torch.stack(
    [
        right[t, running[t]].quantile(torch.tensor([0.25, 0.5, 0.75]))
        for t in range(int(test_lengths.min()) + 8)
    ]
)

figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
frame = range(1, len(quartiles) + 1)
axis.fill_between(frame, quartiles[:, 0], quartiles[:, 2], alpha=0.3, label="middle half")
axis.plot(frame, quartiles[:, 1], label="median")
axis.set(xlabel="frames heard", ylabel="probability of the right speaker", ylim=(0, 1))
axis.legend(loc="lower right")
plt.show()
