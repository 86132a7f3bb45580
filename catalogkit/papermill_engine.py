"""``papermill --engine catalogkit``: stock papermill with checked parameters, and the page beside the notebook.

papermill only warns of a parameter that a notebook does not have, and never looks at types. Here both are errors,
before a kernel starts and before anything is written.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import nbformat
from papermill.engines import NBClientEngine, NotebookExecutionManager

from catalogkit.html import to_html
from catalogkit.kernels import first_lines
from catalogkit.params import check, declared
from catalogkit.quiet_kernels import quiet_kernel
from catalogkit.reports import facts_of, origin

__all__ = ["SparingEngine", "StrictEngine"]

SAVED_EVERY: Final = 2.0  # seconds


class SparingEngine(NBClientEngine):  # type: ignore[misc] # papermill ships no types
    """papermill's own engine, saving seldom: it writes the whole notebook before and after each cell, half a second."""

    @classmethod
    def execute_notebook(
        cls, nb: Any, kernel_name: str, output_path: str | None = None, progress_bar: bool = True, **options: Any
    ) -> Any:
        """Run the notebook; it is saved at most every two seconds, and at its end, however that comes."""
        manager = _Seldom(nb, output_path=output_path, progress_bar=progress_bar)
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(manager, kernel_name, **options)
        finally:
            manager.cleanup_pbar()
            manager.notebook_complete()
        return manager.nb


class _Seldom(NotebookExecutionManager):  # type: ignore[misc]
    def save(self, **_: Any) -> None:
        if self.end_time or (self.now() - self.last_save_time).total_seconds() >= SAVED_EVERY:
            super().save()


class StrictEngine(NBClientEngine):  # type: ignore[misc] # papermill ships no types
    """papermill's own engine, held to what the notebook declares."""

    @classmethod
    def execute_notebook(cls, nb: Any, kernel_name: str, output_path: str | None = None, **options: Any) -> Any:
        """Check the parameters, run the notebook, and write the page beside it.

        Raises
        ------
        InvalidInput
            If a parameter is not declared, or has another type than declared. Nothing is written then.
        """
        passed = dict(nb.metadata.papermill.get("parameters", {}))
        check(nb, passed, typed=True)
        values = {parameter.name: parameter.default for parameter in declared(nb)} | passed
        with quiet_kernel() as config:
            first = first_lines(str(values.get("collection") or "") or None)
            chosen = {"config": config, "extra_arguments": first, **options}
            done = super().execute_notebook(nb, kernel_name, output_path, **chosen)
        about = done.metadata.papermill
        target = str(about.get("output_path") or "")
        source = Path(str(about.get("input_path") or "notebook")).stem
        began = datetime.fromisoformat(about["start_time"])
        facts = facts_of(done, source, values, began, about["duration"])
        done.metadata["catalogkit"] = origin(facts, Path(target).name)
        if target.endswith(".ipynb") and "://" not in target:
            nbformat.write(done, target)  # type: ignore[no-untyped-call]
            Path(target).with_suffix(".html").write_text(to_html(done), encoding="utf-8")
        return done
