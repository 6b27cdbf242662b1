"""The whole training step as one CUDA graph: a launch for a step, where eager PyTorch takes a thousand.

What is captured makes the batch, runs forward and backward, unscales, clips, optimizes and sums up. It must not wait for the
device, and everything that changes from step to step must lie in tensors on it: the images' positions, the learning rate,
and the generators' states, which CUDA graphs know of.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from torch import Tensor

WARM_UP_STEPS = 3
"""Before a capture: cuDNN chooses its algorithms, Triton compiles, the scaler makes its state."""

Step = Callable[[Tensor, bool], None]
"""Trains on the images at some positions (M,), probing or not."""


class CapturedStep:
    """`step`, captured for each of `cases`, a number of positions with or without probing. Called as `step` is.

    Raises what PyTorch raises where the step cannot be captured.
    """

    def __init__(self, step: Step, cases: Iterable[tuple[int, bool]], device: torch.device, generators: Sequence[torch.Generator]):
        self._captured: dict[tuple[int, bool], tuple[Tensor, Callable[[], None]]] = {}
        capture = capturing(device, generators)
        for size, probed in cases:
            index = torch.arange(size, device=device)
            self._captured[size, probed] = index, capture(partial(step, index, probed))

    def __call__(self, index: Tensor, probed: bool) -> None:
        own, replay = self._captured[len(index), probed]
        own.copy_(index)
        replay()


def capturing(device: torch.device, generators: Sequence[torch.Generator]) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Turns work on `device` that draws from `generators` into a replay of it. All replays share their memory: one at a time."""
    pool, stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream(device)

    def capture(work: Callable[[], None]) -> Callable[[], None]:
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                work()
        torch.cuda.current_stream(device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        before = torch.cuda.current_stream(device)
        try:
            with torch.cuda.graph(graph, pool=pool, stream=stream):
                work()
        except Exception:
            # PyTorch 2.11 leaves both as they were within the capture: on its stream, and with draws that only a graph may make.
            torch.cuda.set_stream(before)
            for generator in (*generators, torch.cuda.default_generators[before.device_index]):
                generator.graphsafe_set_state(generator.clone_state())
            raise
        return graph.replay

    return capture
