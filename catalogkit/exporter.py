"""``jupyter nbconvert --to catalogkit-html``: a notebook that has run as the page that `catalogkit report` makes."""

from __future__ import annotations

from typing import Any

from nbconvert.exporters import Exporter

from catalogkit.html import to_html

__all__ = ["PageExporter"]


class PageExporter(Exporter):
    """One HTML file with every chart in it, which asks no address for anything."""

    export_from_notebook = "catalogkit page"  # in JupyterLab: File > Save and Export Notebook As
    output_mimetype = "text/html"

    def _file_extension_default(self) -> str:
        return ".html"

    def from_notebook_node(self, nb: Any, resources: Any = None, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Make the page of a notebook, as text."""
        copied, found = super().from_notebook_node(nb, resources, **options)
        return to_html(copied), found
