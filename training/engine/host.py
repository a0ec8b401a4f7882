"""Where a job runs, and how much memory it holds there."""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path
from typing import Any

import torch


def facts(device: torch.device, processes: int) -> dict[str, Any]:
    """Host, device and its memory, for `host.json`."""
    return {
        "host": socket.gethostname(),
        "device": device_name(device),
        "memory_bytes": memory_of(device),
        "processes": processes,
        "torch": torch.__version__,
    }


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"CPU, {os.cpu_count()} cores, {platform.machine()}"


def memory_of(device: torch.device) -> int | None:
    """All there is, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def memory_in_use(device: torch.device) -> int | None:
    """Bytes at the peak since the last call on a GPU; resident now on a CPU. None if unknown."""
    if device.type == "cuda":
        peak = int(torch.cuda.max_memory_allocated(device))
        torch.cuda.reset_peak_memory_stats(device)
        return peak
    status = Path("/proc/self/statm")
    if not status.exists():
        return None
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
