"""After Ctrl-C: the command that goes on."""

from __future__ import annotations

import sys

import pytest

from kgbuild.cli import options


@pytest.mark.parametrize(
    ("typed", "again"),
    [
        (["generate", "--dataset", "examples"], "kgbuild generate --dataset examples"),
        (["train", "llm-kg_iu"], "kgbuild train llm-kg_iu --resume"),
        (["train", "llm-kg_iu", "--resume"], "kgbuild train llm-kg_iu --resume"),
    ],
)
def test_it_names_the_command_that_goes_on(
    typed: list[str], again: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["kgbuild", *typed])
    assert options.interrupted() == 130
    assert capsys.readouterr().err.splitlines()[-1].strip() == again
