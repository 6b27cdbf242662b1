"""A training of nobody's in particular: plain PyTorch, argparse and `wandb.log`, and not a word of reglab."""

import argparse
import signal
import sys

import torch
import wandb

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--width", type=int, default=8)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--epochs", type=int, default=3)
options = parser.parse_args()

asked_to_end = []
signal.signal(signal.SIGUSR1, lambda number, frame: asked_to_end.append(number))

torch.manual_seed(options.seed)
inputs = torch.randn(64, 4)
targets = inputs.sum(1, keepdim=True)
model = torch.nn.Sequential(torch.nn.Linear(4, options.width), torch.nn.ReLU(), torch.nn.Linear(options.width, 1))
optimizer = torch.optim.SGD(model.parameters(), options.lr)

with wandb.init(config=vars(options)) as run:
    for epoch in range(1, options.epochs + 1):
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log({"epoch": epoch, "loss": loss.item()})
        if asked_to_end:
            run.mark_preempting()
            run.finish(exit_code=75)
            sys.exit(75)
    run.summary["weights"] = sum(each.numel() for each in model.parameters())
