"""The wheel, away from the checkout: what somebody gets who installs catalogkit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel puts into site-packages; what catalogkit needs comes from this interpreter."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(ROOT)]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)], check=True)
    return target


def run(installed: Path, cwd: Path, *arguments: str) -> Any:
    """What the installed command answers, as data, run from a folder that has nothing to do with the checkout."""
    env = os.environ | {"PYTHONPATH": str(installed), "HOME": str(cwd)}
    line = [sys.executable, "-m", "catalogkit", *arguments, "--json"]
    done = subprocess.run(line, cwd=cwd, env=env, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_the_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    """The installed package comes first, not the checkout, and has its notebooks and demo with it."""
    ask = "import catalogkit, catalogkit.demo as d; print(catalogkit.__file__); print(d.demo_data())"
    env = os.environ | {"PYTHONPATH": str(installed)}
    out = subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    assert all(Path(line).is_relative_to(installed) for line in out.stdout.split())
    shipped = {path.name for path in (installed / "catalogkit" / "_notebooks").iterdir()}
    assert shipped == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_the_demo_and_its_reports_run_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """`catalogkit demo` builds, verifies, runs its own notebooks, and leaves an index that leads to each page."""
    told = run(installed, tmp_path, "demo")
    assert told["bad"] == 0
    assert told["ok"] == told["locations"] > 100
    index = Path(told["html"])
    assert index.is_relative_to(tmp_path)
    assert {run["report"] for run in told["reports"]} >= {"storage_overview", "retention_review"}
    for report in told["reports"]:
        assert Path(report["html"]).stat().st_size > 100_000
        assert Path(report["html"]).relative_to(index.parent).as_posix() in index.read_text(encoding="utf-8")
