"""The whole training step as one CUDA graph: a launch for a step, where eager PyTorch takes a thousand.

What is captured makes the batch, runs forward and backward, unscales, clips, optimizes and sums up. It must not wait for the
device, and everything that changes from step to step must lie in tensors on it: the images' positions, the learning rate,
and the generators' states, which CUDA graphs know of.
"""

import gc
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial

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
        """Replay the step on the positions `index` (M,), of a size that was captured."""
        own, replay = self._captured[len(index), probed]
        own.copy_(index)
        replay()


def capturing(device: torch.device, generators: Sequence[torch.Generator]) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Turns work on `device` that draws from `generators` into a replay of it. All replays share their memory: one at a time.

    Where work cannot be captured, its own error is raised, and what the capture had taken is given back.
    """
    pool, stream = torch.cuda.graph_pool_handle(), _stream(device)

    def capture(work: Callable[[], None]) -> Callable[[], None]:
        stream.wait_stream(torch.cuda.current_stream(device))
        try:
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP_STEPS):
                    work()
        finally:  # where one fails, too: an eager step follows it
            torch.cuda.current_stream(device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        if torch.__version__ < "2.15":  # from there on a graph finds them by itself
            for generator in generators:
                graph.register_generator_state(generator)
        before, cause = torch.cuda.current_stream(device), None
        try:
            with _without_collection(), torch.cuda.graph(graph, pool=pool, stream=stream):
                try:
                    work()
                except Exception as error:
                    cause = error  # the capture's end says only that something was wrong before
                    raise
        except Exception as error:
            _abandon(before, pool, (*generators, torch.cuda.default_generators[before.device_index]))
            failure = cause or error
            traceback.clear_frames(failure.__traceback__)  # which would keep the step's tensors, and on the capture's stream
            raise failure from None
        return graph.replay

    return capture


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """On which this process captures: one, for PyTorch 2.11 keeps 68 MB of cuBLAS's for every stream that has seen a product."""
    return torch.cuda.Stream(device)


@contextmanager
def _without_collection() -> Iterator[None]:
    """No garbage is collected while it is open: a graph that is destroyed during a capture spoils it."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _abandon(stream: torch.cuda.Stream, pool: tuple[int, int], generators: Iterable[torch.Generator]) -> None:
    """Leave a capture that failed: back to `stream`, with generators that draw outside a graph, and none of its memory kept."""
    torch.cuda.set_stream(stream)
    for generator in generators:
        generator.graphsafe_set_state(generator.clone_state())
    if torch.__version__ < "2.12":  # which ends a capture without these
        torch._C._cuda_endAllocateToPool(stream.device_index, pool)
        torch._C._cuda_releasePool(stream.device_index, pool)
