"""Blocking work that may take minutes: in threads of its own, so that many runs which wait for a download or a build never
take those that answer requests (`asyncio.to_thread` has six of them on two CPUs)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_threads = ThreadPoolExecutor(512, thread_name_prefix="long")
"""Made one by one when they are needed. Most of them wait for the same lock."""


async def in_thread(work: Callable[[threading.Event], T]) -> T:
    """Run blocking `work`; cancelling the wait sets the event it is given."""
    stop = threading.Event()
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, work, stop)
    except asyncio.CancelledError:
        stop.set()
        raise
