"""Docs that go stale fail here. ``python tests/test_docs.py`` writes the generated page anew."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import typer

from benchmarks import page as benchmarks
from tests import modules_page, python_page, settings_page

ROOT = Path(__file__).parent.parent
CLI_PAGE = ROOT / "docs" / "cli.md"
AUDIT_PAGE = ROOT / "docs" / "audit.md"
TELEMETRY_PAGE = ROOT / "docs" / "telemetry.md"
SETTINGS_PAGE = ROOT / "docs" / "configuration.md"
PYTHON_PAGE = ROOT / "docs" / "python.md"
MODULES_PAGE = ROOT / "docs" / "modules.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def commands(command: Any, path: str) -> list[tuple[str, Any]]:
    """Every command below `command`, with what a person types."""
    children = getattr(command, "commands", {})
    return [(path, command)] + [pair for name, child in children.items() for pair in commands(child, f"{path} {name}")]


def cli_page() -> str:
    """The page of every command's help, as the program gives it at 100 columns."""
    from catalogkit.cli import app

    parts = ["# Every command", "", "Written by `python tests/test_docs.py` from the commands' own help.", ""]
    for path, command in commands(typer.main.get_command(app), "catalogkit"):
        context = command.make_context(path, [], resilient_parsing=True, terminal_width=100, max_content_width=100)
        text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
        parts += [f"## {path}", "", "```text", text, "```", ""]
    return "\n".join(parts)


def test_the_page_of_commands_is_what_the_program_says() -> None:
    """docs/cli.md equals the help of every command."""
    assert CLI_PAGE.read_text(encoding="utf-8") == cli_page(), "run python tests/test_docs.py"


def test_the_page_of_findings_is_the_table_of_codes() -> None:
    """docs/audit.md equals what the table of codes says."""
    from catalogkit.audit_codes import page

    assert AUDIT_PAGE.read_text(encoding="utf-8") == page(), "run python tests/test_docs.py"


def test_the_page_of_metrics_is_the_table_of_metrics() -> None:
    """docs/telemetry.md equals what the table of metrics says."""
    from catalogkit import metrics

    assert TELEMETRY_PAGE.read_text(encoding="utf-8") == metrics.page(), "run python tests/test_docs.py"


def test_the_page_of_settings_is_what_the_models_say() -> None:
    """docs/configuration.md equals the models of the settings: every one, its kind, default and meaning."""
    assert SETTINGS_PAGE.read_text(encoding="utf-8") == settings_page.page(), "run python tests/test_docs.py"


def test_the_page_of_names_is_what_the_docstrings_say() -> None:
    """docs/python.md equals the first sentences of what is public, and leaves no public name out."""
    import catalogkit as ck

    assert PYTHON_PAGE.read_text(encoding="utf-8") == python_page.page(), "run python tests/test_docs.py"
    assert sorted(" ".join(python_page.GROUPS.values()).split()) == sorted(set(ck.__all__) - {"__version__"})


def test_the_page_of_modules_is_what_the_docstrings_say() -> None:
    """docs/modules.md has every module in its room, with the first sentence of its docstring."""
    from tests.test_layers import MODULES, ROOMS

    assert MODULES_PAGE.read_text(encoding="utf-8") == modules_page.page(), "run python tests/test_docs.py"
    assert set(modules_page.ABOUT) == set(ROOMS)
    assert not [name for name in MODULES if not modules_page.first_sentence(name).endswith(".")]


def test_the_table_of_rooms_is_that_of_the_layers() -> None:
    """docs/architecture.md has every room from the top down, and in each only modules that live there."""
    from tests.test_layers import MODULES, ROOMS, room

    rows = re.findall(
        r"^\| (\w+) \| [^|]+ \| ((?:`[\w.*]+`(?:, )?)+) \|$", ARCHITECTURE.read_text("utf-8"), re.MULTILINE
    )
    assert [name for name, _ in rows] == list(reversed(ROOMS))
    for name, some in rows:
        for pattern in re.findall(r"`([\w.*]+)`", some):
            living = [module for module in MODULES if fnmatch(module, pattern)]
            assert living and {room(module) for module in living} == {name}, pattern


def test_the_settings_shown_on_their_page_are_read() -> None:
    """The example at the top of docs/configuration.md is accepted, and is what it looks like."""
    import tomllib

    from catalogkit.config import parse_config

    found = re.search(r"```toml\n(.*?)```", settings_page.OPENING, re.DOTALL)
    assert found
    config = parse_config(tomllib.loads(found[1]))
    assert config.backup.destination and config.retention["age_days"] == 365 and config.store.url.startswith("s3:")


def test_every_error_has_a_line_on_the_page_of_errors() -> None:
    """docs/errors.md has each class of `catalogkit.errors`, and no other."""
    from catalogkit import errors

    known = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE)) == known - {"CatalogKitError"}


def test_the_glossary_is_in_order_and_knows_the_commands_nouns() -> None:
    """Its words stand in alphabetical order, once each; the nouns of the command line are among them."""
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| ([a-z -]+) \| [^|]+ \|$", page, re.MULTILINE)
    assert words[0] == "word" and words[1:] == sorted(set(words[1:]))
    assert {"plan", "snapshot", "hold", "tenant", "store", "backup", "audit", "purge", "condemn"} <= set(words)


def test_what_holds_a_promise_is_there() -> None:
    """Every test and every benchmark that docs/promises.md names exists, and every line names one."""
    lines = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ") and not line.endswith("| | |")]
    for what, held, _ in rows[1:]:
        tests = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", held)
        bench = re.findall(r"`(\w+)`", held) if "benchmark" in held else []
        assert tests or bench, what
        for file, name in tests:
            text = (ROOT / file).read_text(encoding="utf-8")
            assert f"def {name}(" in text if name else re.search(r"(def test_|class Test)", text), (what, file, name)
        for name in bench:
            assert (ROOT / "benchmarks" / f"{name}.py").is_file(), (what, name)


def test_the_page_of_benchmarks_is_what_was_measured() -> None:
    """It is made of the numbers that are kept beside it, and of nothing else."""
    kept = json.loads(benchmarks.KEPT.read_text(encoding="utf-8"))
    assert benchmarks.PAGE.read_text(encoding="utf-8") == benchmarks.render(kept)


def test_links_lead_somewhere() -> None:
    """Every relative link of a page names a file that is there."""
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "tests" / "data").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), (page, target)


def test_every_page_is_linked_from_the_readme() -> None:
    """A page nobody links to is a page nobody reads."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in readme, page


def test_figures_are_defined_as_the_code_defines_them() -> None:
    """The table of docs/figures.md has every figure of `catalogkit.stats`, with the same formula."""
    from catalogkit import stats

    page = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
    table = re.findall(r"^([a-z]+) +``([^`]+)``( if \w+)?", inspect.getdoc(stats) or "", re.MULTILINE)
    assert {name for name, *_ in table} >= {"logical", "saved", "reclaimable", "physical"}
    for name, formula, condition in table:
        assert f"| {name} | `{formula}`{condition}" in page, name


def test_the_readme_names_only_what_is_there() -> None:
    """Its `make` targets, commands and Python names exist."""
    import catalogkit as ck
    from catalogkit.cli import app

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make ([a-z]+)|`make ([a-z]+)", readme, re.MULTILINE)
    for target in {bare or quoted for bare, quoted in targets}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", readme, re.DOTALL))
    for command in set(re.findall(r"^catalogkit (?:-C \w+ )?([a-z-]+)", shell, re.MULTILINE)):
        assert command in known, command
    for name in set(re.findall(r"\bck\.(\w+)", readme)):
        assert name in ck.__all__, name


def test_the_readme_examples_run(tmp_path: Path, monkeypatch: Any) -> None:
    """The notebook examples of the README do what they say, line by line."""
    import asyncio

    sources = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(sources) == 3
    monkeypatch.chdir(tmp_path)
    (tmp_path / "downloads").mkdir()
    for number in range(3):
        (tmp_path / "downloads" / f"{number}.txt").write_text(str(number))
    for source in sources:
        code = compile(source, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        names: dict[str, Any] = {}
        outcome = eval(code, names)
        if outcome is not None:
            asyncio.run(outcome)
        assert names["c"].catalog.totals()["documents"] == 3
        names["c"].close()


def test_nothing_speaks_of_machines_or_registries() -> None:
    """No page and no source names a registry's host or a path of somebody's machine."""
    banned = re.compile(r"pypi\.org|pythonhosted|npmjs\.(org|com)|deb\.debian\.org|/root/|/home/\w+/|/work/")
    for page in [*ROOT.glob("*.*"), *(ROOT / "docs").glob("*.md"), *(ROOT / "catalogkit").rglob("*.py")]:
        if page.is_file() and page.suffix != ".png" and page.name != ".git":  # a work tree has a file of that name
            assert not banned.search(page.read_text(encoding="utf-8")), page


if __name__ == "__main__":
    from catalogkit import audit_codes, metrics

    for path, text in {
        CLI_PAGE: cli_page(),
        AUDIT_PAGE: audit_codes.page(),
        TELEMETRY_PAGE: metrics.page(),
        SETTINGS_PAGE: settings_page.page(),
        PYTHON_PAGE: python_page.page(),
        MODULES_PAGE: modules_page.page(),
    }.items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")
