"""Training by the clock: a budget of minutes, checkpoints, a running mean of the weights."""

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from training.pool import Pool

_WARM_SHARE = 0.04
_SAVE_S = 120.0
_TELL_SHARE = 0.04
Batch = dict[str, torch.Tensor]


class Run:
    """One training run of ``minutes``, which goes on where its checkpoint stands.

    Args:
        net: what is trained.
        minutes: its budget; the learning rate follows it down to nothing.
        peak: the highest learning rate.
        checkpoint: where it is kept.
    """

    def __init__(self, net: nn.Module, *, minutes: float, peak: float, checkpoint: Path) -> None:
        self.net = net
        self.mean = copy.deepcopy(net).eval()
        self.optimizer = torch.optim.AdamW(net.parameters(), lr=peak, weight_decay=0.02)
        self.step = 0
        self._peak = peak
        self._budget_s = 60 * minutes
        self._spent_s = 0.0
        self._checkpoint = checkpoint
        self._last = self._saved = time.monotonic()
        if checkpoint.exists():
            self._load(torch.load(checkpoint, weights_only=True))

    @property
    def progress(self) -> float:
        """0 to 1."""
        return min(1.0, self._spent_s / self._budget_s)

    def take(self, loss: torch.Tensor) -> None:
        """Learn from a loss."""
        now = time.monotonic()
        self._spent_s += now - self._last
        self._last = now
        warm = min(1.0, self.progress / _WARM_SHARE)
        rate = self._peak * warm * 0.5 * (1 + math.cos(math.pi * self.progress)) + 1e-6
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 3.0)
        self.optimizer.step()
        self.step += 1
        keep = min(0.999, self.step / (self.step + 20))
        with torch.no_grad():
            values = self.net.state_dict()
            for name, mean in self.mean.state_dict().items():
                if mean.dtype.is_floating_point:
                    mean.lerp_(values[name], 1 - keep)
                else:
                    mean.copy_(values[name])
        if now - self._saved > _SAVE_S:
            self.save()

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        self._saved = time.monotonic()
        state = {
            "net": self.net.state_dict(),
            "mean": self.mean.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent_s": self._spent_s,
        }
        new = self._checkpoint.with_suffix(".new")
        torch.save(state, new)
        new.replace(self._checkpoint)

    def _load(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.mean.load_state_dict(state["mean"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self._spent_s = state["step"], state["spent_s"]


def device() -> torch.device:
    """CUDA where there is some."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def learn(
    run: Run,
    pool: Pool,
    *,
    count: int,
    seed: int,
    loss: Callable[[Batch], torch.Tensor],
    check: Callable[[nn.Module], str],
    say: Callable[[str], None],
) -> None:
    """Train until the budget is spent, ``count`` samples a step; saves whatever ends it.

    Args:
        run: what is trained.
        pool: gives the samples; closed in the end.
        count: samples a step.
        seed: of their choice.
        loss: what a batch costs.
        check: says what the running mean of the network is worth.
        say: gets a line now and then.
    """
    rng = np.random.default_rng((seed, run.step))
    told, losses = run.progress, []
    run.net.train()
    try:
        while run.progress < 1:
            taken = pool.batch(count, rng).items()
            batch = {
                key: torch.from_numpy(np.ascontiguousarray(value)).to(device())
                for key, value in taken
            }
            cost = loss(batch)
            run.take(cost)
            losses.append(cost.detach())
            if run.progress - told > _TELL_SHARE or run.progress >= 1:
                told = run.progress
                mean = float(torch.stack(losses).mean())
                losses.clear()
                say(
                    f"{100 * told:5.1f} %  step {run.step}  samples {pool.made}  "
                    f"loss {mean:.3f}  {check(run.mean)}"
                )
    finally:
        run.save()
        pool.close()
