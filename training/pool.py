"""Samples made by processes of their own, in memory that the trainer reads: no waiting."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.shared_memory import SharedMemory

import numpy as np
from numpy.typing import NDArray

Fields = Mapping[str, tuple[tuple[int, ...], str]]
"""Shape and dtype of each array of one sample."""
Sample = Mapping[str, NDArray[np.generic]]


_FRESH = 0.3
"""New samples for each that is taken: each is used about three times, and leaves time to train."""


class Pool:
    """The newest ``size`` samples; each is used a few times before it is written over.

    Args:
        fields: what a sample is made of.
        size: samples kept.
        make: gives samples without end for a seed; runs in ``makers`` processes.
        makers: how many processes make samples.
        seed: seed of the first.
    """

    def __init__(
        self,
        fields: Fields,
        size: int,
        make: Callable[[int], Iterator[Sample]],
        *,
        makers: int,
        seed: int,
    ) -> None:
        self._memory = {
            name: SharedMemory(
                create=True, size=size * int(np.prod(shape)) * np.dtype(kind).itemsize
            )
            for name, (shape, kind) in fields.items()
        }
        self._arrays = _arrays(fields, self._memory, size)
        self._size = size
        context = multiprocessing.get_context("fork")
        self._taken = context.Value("Q", 0)
        self._made = [context.Value("Q", 0) for _ in range(makers)]
        self._processes = [
            context.Process(target=self._fill, args=(make, seed + i, i), daemon=True)
            for i in range(makers)
        ]
        for process in self._processes:
            process.start()

    @property
    def made(self) -> int:
        """Samples made so far."""
        return sum(int(count.value) for count in self._made)

    def batch(self, count: int, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """Take ``count`` samples at random, once there is a fair number of them."""
        while self.made < min(self._size, 20 * count):
            if not all(process.is_alive() for process in self._processes):
                msg = "a process that makes samples has died"
                raise RuntimeError(msg)
            time.sleep(0.2)
        makers = len(self._processes)
        self._taken.value += count
        share = self._size // makers
        maker = rng.integers(makers, size=count)
        filled = np.array([min(share, int(made.value)) for made in self._made])
        chosen = maker * share + (rng.random(count) * filled[maker]).astype(int)
        return {name: array[chosen] for name, array in self._arrays.items()}

    def close(self) -> None:
        """End the processes and free the memory."""
        for process in self._processes:
            process.terminate()
            process.join()
        self._arrays.clear()
        for memory in self._memory.values():
            memory.close()
            memory.unlink()

    def _fill(self, make: Callable[[int], Iterator[Sample]], seed: int, index: int) -> None:
        import cv2  # noqa: PLC0415 - its threads must not outlive the fork

        cv2.setNumThreads(1)
        os.nice(2)
        share = self._size // len(self._made)
        makers = len(self._made)
        for count, sample in enumerate(make(seed)):
            while makers * count > self._size + _FRESH * self._taken.value:
                time.sleep(0.05)
            at = index * share + count % share
            for name, value in sample.items():
                self._arrays[name][at] = value
            self._made[index].value = count + 1


def _arrays(
    fields: Fields, memory: Mapping[str, SharedMemory], size: int
) -> dict[str, NDArray[np.generic]]:
    return {
        name: np.ndarray((size, *shape), np.dtype(kind), memory[name].buf)
        for name, (shape, kind) in fields.items()
    }
