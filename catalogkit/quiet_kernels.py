"""The kernel that a report runs in: on local sockets, and left in peace when it has nothing more to do."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import AsyncKernelManager
from traitlets.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet_kernel"]


@contextlib.contextmanager
def quiet_kernel() -> Iterator[Config]:
    """Settings for one kernel: it neither opens ports nor warns that they are not encrypted, and ends without a word.

    jupyter_client interrupts every kernel that it shuts down. One at work ends its cell by that; one that answered just
    now, and on a busy machine has not yet come to ignore interrupts again, would log an error about it.
    """
    cell_runs = False

    def begins(**_: Any) -> None:
        nonlocal cell_runs
        cell_runs = True

    # Not called for a cell that was given up; a cell that fails has ended, too.
    def ended(**_: Any) -> None:
        nonlocal cell_runs
        cell_runs = False

    class Manager(AsyncKernelManager):
        async def _async_interrupt_kernel(self) -> None:
            if cell_runs or not self.shutting_down:
                await super()._async_interrupt_kernel()

    with tempfile.TemporaryDirectory(prefix="ck-", dir=_sockets()) as folder:
        config = Config()
        config.NotebookClient.kernel_manager_class = Manager
        config.NotebookClient.on_cell_execute = begins
        config.NotebookClient.on_cell_executed = ended
        if os.name == "posix":
            config.KernelManager.transport = "ipc"
            config.KernelManager.connection_file = os.path.join(folder, "kernel.json")
        yield config


def _sockets() -> str | None:
    """Where sockets can have names: with a long ``TMPDIR`` theirs are longer than the 103 bytes that systems take."""
    longest = 103 - len("/ck-12345678/kernel.json-ipc-5")
    return "/tmp" if os.name == "posix" and len(os.fsencode(tempfile.gettempdir())) > longest else None
