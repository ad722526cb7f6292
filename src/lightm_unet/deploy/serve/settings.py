"""The settings of a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MB = 1_000_000
GB = 1_000_000_000


@dataclass(frozen=True)
class ServeSettings:
    """Settings of a server."""

    host: str = "127.0.0.1"
    """Address to listen on. Any other than 127.0.0.1, ::1 and localhost needs a token."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    token_file: Path | None = None
    """File whose first line is the token that clients have to send as `Authorization: Bearer`;
    without it, the variable LIGHTM_UNET_TOKEN is the token."""
    device: str = "auto"
    """Device that runs the networks: auto, cpu, cuda, cuda:N (GPU number N, from 0) or mps; auto
    is a GPU if there is one."""
    workers: int | None = None
    """Images that are segmented at the same time; by default one for each core of the processor,
    and one on a GPU."""
    threads: int | None = None
    """Threads of each worker; by default the cores are shared out."""
    queue: int = 32
    """Images that may wait for a worker; further ones are refused with 429."""
    timeout: float = 300
    """Seconds from the end of an upload to the answer, after which a request is given up."""
    upload_timeout: float = 120
    """Seconds that an upload may take."""
    upload_mb: int = 512
    """Largest upload, in megabytes."""
    memory_gb: float | None = None
    """Memory for all work together, in gigabytes, from which follows how many voxels an image may
    have; by default half of what is free at the start."""
