"""
Reinforcement learning: remember the way
========================================

A T-maze: if a lamp is lit at the first step of an episode, the way out is on the left, otherwise on
the right. Then comes a corridor, at whose end the agent has to turn: it must remember the lamp.
Episodes may break off, and no observation shows it; ``resets`` keeps the memory of one out of the
next.
"""

# %%
# Many mazes at once. An agent that turns too early bumps into a wall; the reward comes at the end.

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from torchrecurrent import nBR

MAZES, STEPS = 64, 32
LEFT, RIGHT, AHEAD = range(3)


class Mazes:
    """Observations ``(N, 3)``: the lamp at an episode's first step, the corridor's end, noise."""

    def __init__(self, count: int) -> None:
        self.lamp = torch.zeros(count)
        self.place = torch.zeros(count, dtype=torch.long)
        self.length = torch.zeros(count, dtype=torch.long)
        self.begin(torch.ones(count, dtype=torch.bool))

    def begin(self, which: Tensor) -> None:
        self.lamp[which] = torch.randint(2, self.lamp[which].shape).float()
        self.length[which] = torch.randint(4, 13, self.length[which].shape)
        self.place[which] = 0

    def see(self) -> Tensor:
        lamp = self.lamp * (self.place == 0)
        end = (self.place == self.length).float()
        return torch.stack([lamp, end, 0.3 * torch.randn(len(lamp))], 1)

    def act(self, action: Tensor) -> tuple[Tensor, Tensor]:
        """Rewards, ``(N,)``, and whether the episode ends or breaks off; a new one begins there."""
        at_end = self.place == self.length
        right = action == torch.where(self.lamp > 0, LEFT, RIGHT)
        reward = torch.where(at_end, torch.where(right, 1.0, -1.0), -0.1 * (action != AHEAD))
        self.place = self.place + ((action == AHEAD) & ~at_end)
        ends = at_end | (torch.rand(len(reward)) < 0.1)
        self.begin(ends)
        return reward, ends


# %%
# The agent: a bistable layer between what is seen and what is done. While it acts, T is 1.


class Agent(nn.Module):
    def __init__(self, hidden_size: int = 32) -> None:
        super().__init__()
        self.memory = nBR(3, hidden_size)
        self.policy = nn.Linear(hidden_size, 3)
        self.value = nn.Linear(hidden_size, 1)

    def forward(
        self, seen: Tensor, state: Tensor | None, begins: Tensor | None
    ) -> tuple[Categorical, Tensor, Tensor]:
        """For ``(T, N, 3)``; ``begins`` is true at an episode's first step."""
        features, state = self.memory(seen, state, resets=begins)
        return Categorical(logits=self.policy(features)), self.value(features)[..., 0], state


# %%
# Advantage actor-critic. The rollout is run step by step without gradients, then once more as a
# whole, in the fused kernel, with them: from the same first state and with the same ``resets`` it
# gives the same numbers.


def learn(*, with_resets: bool, updates: int = 200) -> list[float]:
    """The share of mazes left on the right side, at each update."""
    torch.manual_seed(0)
    agent, mazes = Agent(), Mazes(MAZES)
    optimizer = torch.optim.Adam(agent.parameters(), lr=0.003)
    state, begins = agent.memory.init_hidden(MAZES), torch.ones(MAZES, dtype=torch.bool)
    shares = []
    for _ in range(updates):
        first, rollout = state, []
        with torch.no_grad():
            for _ in range(STEPS):
                seen = mazes.see()
                choice, _, state = agent(seen[None], state, begins[None] if with_resets else None)
                action = choice.sample()[0]
                reward, ends = mazes.act(action)
                rollout.append((seen, begins, action, reward, ends))
                begins = ends
            _, value, _ = agent(mazes.see()[None], state, begins[None] if with_resets else None)
        seen, began, action, reward, ends = (
            torch.stack(each) for each in zip(*rollout, strict=True)
        )

        returns, following = torch.empty(STEPS, MAZES), value[0]
        for t in reversed(range(STEPS)):
            following = reward[t] + 0.95 * following * ~ends[t]
            returns[t] = following
        choice, value, _ = agent(seen, first, began if with_resets else None)
        advantage = returns - value
        loss = -(choice.log_prob(action) * advantage.detach()).mean()
        loss = loss + 0.5 * advantage.square().mean() - 0.01 * choice.entropy().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(agent.parameters(), 1.0)
        optimizer.step()
        turned = reward.abs() == 1
        shares.append((reward[turned] > 0).double().mean().item())
    return shares


# %%
# With resets, and with a state that runs on from one episode into the next.

figure, axis = plt.subplots(figsize=(5.5, 3), layout="constrained")
for with_resets, name in ((True, "with resets"), (False, "without")):
    shares = torch.tensor(learn(with_resets=with_resets))
    smooth = shares.unfold(0, 10, 1).mean(1)
    print(f"{name}: right in {smooth[-1]:.3f} of the last mazes")
    axis.plot(range(10, len(shares) + 1), smooth, label=name)
axis.axhline(0.5, color="0.5", linestyle="--", label="by chance")
axis.set(xlabel="update", ylabel="mazes left on the right side", ylim=(0, 1.02))
axis.legend(loc="lower right")
plt.show()
