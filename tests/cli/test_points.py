"""`--until` takes percentage points as people write them, and nothing that cannot be meant."""

from __future__ import annotations

import click
import pytest

from localrl.cli.bench import Points


@pytest.mark.parametrize("text", ["2", "±2", "2%", " 2.0 "])
def test_points_become_a_share(text: str) -> None:
    assert Points().convert(text, None, None) == pytest.approx(0.02)


@pytest.mark.parametrize("text", ["0", "-2", "80", "two", "nan", ""])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="percentage points"):
        Points().convert(text, None, None)
