"""The Jupyter kernel that a report runs in: on local sockets, with little overhead."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, Any, Final

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.paths import jupyter_path
from traitlets import default
from traitlets.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet_kernel"]

_USUAL: Final = ["-m", "ipykernel_launcher"]
# The same, but light. Libraries leave no garbage while they are loaded, nor is there any to look for at the end, when
# all memory goes; nobody can reach the debugger here; and in a notebook DuckDB would load widgets for a bar that nobody
# sees: before there is one it does not. As usual, none of them is looked for in the folder of the notebook.
_LIGHT: Final = """\
import sys
if sys.path[0] == "":
    del sys.path[0]
import atexit, contextlib, gc
gc.set_threshold(100_000, 10, 10)
atexit.register(gc.freeze)
sys.modules["debugpy"] = None
with contextlib.suppress(ImportError):
    import duckdb
from ipykernel import kernelapp
kernelapp.launch_new_instance()
"""


@contextlib.contextmanager
def quiet_kernel() -> Iterator[Config]:
    """Settings for one kernel: no more than it needs, no ports, no warning that they are not encrypted, a quiet end.

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

        @default("kernel_spec_manager")
        def _where_kernels_are_told_of(self) -> KernelSpecManager:
            # As is usual, but that IPython is not asked where its folder is: all of it would be loaded.
            ipython = os.environ.get("IPYTHONDIR") or os.path.expanduser("~/.ipython")
            return KernelSpecManager(kernel_dirs=[*jupyter_path("kernels"), os.path.join(ipython, "kernels")])

        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            command = super().format_kernel_cmd(extra_arguments)
            at = command.index(_USUAL[0]) if _USUAL[0] in command else 0
            # After Python's own options, such as -Xfrozen_modules; one that is started in another way is left as it is.
            plain = command[at : at + 2] == _USUAL and all(option.startswith("-") for option in command[1:at])
            return [*command[:at], "-c", _LIGHT, *command[at + 2 :]] if plain else command

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
