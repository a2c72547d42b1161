"""Streams, events and graphs of the double: what a capture records is run when its graph is launched, and only raw kernels can be."""

from __future__ import annotations

import types
from typing import Any

RECORDING: list[list[Any] | None] = [None]  # what the capture in progress has recorded


def refuse(what: str) -> None:
    """Libraries, and whatever waits, may not be captured; the double allows raw kernels alone."""
    if RECORDING[0] is not None:
        raise RuntimeError(f"{what} while a stream is captured: raw kernels alone can be")


class Device:
    def __init__(self, device: Any = None) -> None:
        self.id = getattr(device, "id", device) or 0
        self.attributes = {"MultiProcessorCount": 3}

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return self.id

    def synchronize(self) -> None:
        refuse("synchronize")


class Graph:
    def __init__(self, launches: list[Any]) -> None:
        self.launches = launches

    def launch(self, stream: Any = None) -> None:
        for launch in self.launches:
            launch()


class Stream:
    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        self.ptr = 0 if null else id(self)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def begin_capture(self, mode: Any = None) -> None:
        RECORDING[0] = []

    def end_capture(self) -> Graph:
        recorded, RECORDING[0] = RECORDING[0], None
        assert recorded is not None
        return Graph(recorded)

    def is_capturing(self) -> bool:
        return RECORDING[0] is not None

    def synchronize(self) -> None:
        refuse("synchronize")

    def wait_event(self, event: Any) -> None: ...

    def record(self, event: Any = None) -> Event:
        return event or Event()


Stream.null = Stream(null=True)


class Event:
    def __init__(self, block: bool = True, disable_timing: bool = False) -> None: ...

    def record(self, stream: Any = None) -> None: ...

    def synchronize(self) -> None:
        refuse("waiting for an event")


class Pool:
    def used_bytes(self) -> int:
        return 0


def fill(cuda: types.ModuleType) -> None:
    cuda.Device, cuda.Stream, cuda.Event, cuda.Graph = Device, Stream, Event, Graph
    cuda.is_available = lambda: True
    cuda.get_current_stream = lambda: Stream.null
    cuda.alloc_pinned_memory = bytearray
