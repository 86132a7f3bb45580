"""Slips of the pen in the settings: what was meant, and what may stand there."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogkit.config import CONFIG_NAME, read_config
from catalogkit.errors import InvalidInput


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "[dedup]\nmin_filesize = 3",
            "[dedup]: 'min_filesize' is not known; did you mean 'min_file_size'? There are: ",
        ),
        ("[retnetion]\nage_days = 3", "'retnetion' is not known; did you mean 'retention'? There are: catalog, "),
        ("[backup.keep]\ndayly = 3", "[backup.keep]: 'dayly' is not known; did you mean 'daily'? There are: last, "),
        (
            "[maintain]\nskip = ['reprots']",
            "maintain.skip[0]: 'reprots' is none of its values; did you mean 'reports'?",
        ),
        ("[maintain]\nskip = ['zzz']", "maintain.skip[0]: 'zzz' is none of its values; there are: audit, backup, "),
        ("[store]\nlayout = 'tree'", "store.layout: 'tree' is none of its values; there are: cas, policy"),
        ("[maintain]\n[retention]\n[maintain]", "[maintain] is there a second time in line 3"),
        ("[a.b]\n[a.b]", "[a.b] is there a second time in line 2"),
        ("[store]\nname = 5", "Expected `str`, got `int` - at `$.store.name`"),
    ],
)
def test_a_slip_is_told_with_what_was_meant(tmp_path: Path, content: str, said: str) -> None:
    """File, table, the likely spelling and all that may stand there; what is no such slip stays as it was told."""
    (tmp_path / CONFIG_NAME).write_text(content)
    with pytest.raises(InvalidInput) as caught:
        read_config(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / CONFIG_NAME}: {said}")
