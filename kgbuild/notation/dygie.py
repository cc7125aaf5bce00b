"""DyGIE++ lines (also RadGraph-XL's release form), one JSON object a document.

``{"dataset", "doc_key", "sentences": [[token]], "ner": [[[start, end, label]]], "relations": [[[s1, e1, s2, e2,
type]]]}``: one list a sentence, offsets inclusive and counted through the whole document. A model's output has
``predicted_ner`` and ``predicted_relations`` with a logit and a probability after each label; the probability is kept
as score. Written with one sentence a document, as RadGraph's own code does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kgbuild.domain import Annotation, Failure
from kgbuild.errors import KgbuildError, StudyError
from kgbuild.labels import Label, to_v1, to_xl
from kgbuild.notation.assemble import RawEntity, RawRelation, assemble
from kgbuild.notation.json_stream import UNREADABLE, open_text
from kgbuild.notation.radgraph import Spelling, study_key

_SPELL = {"v1": to_v1, "xl": to_xl}


def to_dygie(annotation: Annotation, *, labels: Spelling = "v1", dataset: str = "kgbuild") -> dict[str, Any]:
    """One document. An empty text gives no sentence at all."""
    spans = [[entity.start, entity.end - 1] for entity in annotation.entities]
    ner = [
        [*span, _SPELL[labels](Label(entity.type, entity.presence, entity.is_measurement))]
        for span, entity in zip(spans, annotation.entities, strict=True)
    ]
    links = [[*spans[link.source], *spans[link.target], link.type.value] for link in annotation.relations]
    one = bool(annotation.tokens)
    return {
        "dataset": dataset,
        "doc_key": annotation.study_id,
        "sentences": [[token.text for token in annotation.tokens]] if one else [],
        "ner": [sorted(ner)] if one else [],
        "relations": [sorted(links)] if one else [],
    }


def read_dygie_entry(obj: object, extractor: str = "dygie") -> tuple[Annotation, list[str]]:
    """The good part of a document, and what is wrong with the rest. Predictions are read where gold is absent."""
    if not isinstance(obj, dict) or not isinstance(obj.get("doc_key"), str):
        return Annotation("?", (), extractor=extractor), ["the line is not an object with a doc_key"]
    study_id, problems = study_key(obj["doc_key"]), []
    sentences = obj.get("sentences")
    if not isinstance(sentences, list) or not all(
        isinstance(part, list) and all(isinstance(word, str) for word in part) for part in sentences
    ):
        problems.append("sentences are not lists of strings")
        sentences = []
    entities = [
        RawEntity(_id(item[0], item[1]), item[0], item[1], item[2], score=_score(item, 4))
        for item in _items(obj, "ner", 3, problems)
    ]
    relations = [
        RawRelation(_id(item[0], item[1]), _id(item[2], item[3]), item[4], _score(item, 6))
        for item in _items(obj, "relations", 5, problems)
    ]
    words = [word for part in sentences for word in part]
    annotation, more = assemble(study_id, words, entities, relations, extractor)
    return annotation, problems + more


def from_dygie(obj: object, extractor: str = "dygie") -> Annotation:
    """One document as an annotation; its study id is ``doc_key`` reduced.

    Raises:
        StudyError: anything in it is wrong.
    """
    annotation, problems = read_dygie_entry(obj, extractor)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise StudyError(annotation.study_id, problems[0] + more)
    return annotation


def read_dygie(path: Path, *, extractor: str = "dygie") -> Iterator[tuple[str, Annotation | Failure]]:
    """Stream a file's documents as (doc_key, annotation or what is wrong). Blank lines are passed over.

    Raises:
        FileMissing: there is no such file.
        KgbuildError: a line is no JSON; names the file, the line and the character in it.
    """
    seen: set[str] = set()
    for number, obj in _lines(path):
        key = obj.get("doc_key") if isinstance(obj, dict) else None
        key = key if isinstance(key, str) else f"{path.name}:{number}"
        try:
            if study_key(key) in seen:
                raise StudyError(study_key(key), "comes twice; the first was kept")
            seen.add(study_key(key))
            yield key, from_dygie(obj, extractor)
        except StudyError as error:
            yield key, Failure(study_key(key), "read", error.reason, where=f"{path.name}, line {number}")


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    number = 0
    with open_text(path) as file:
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, json.loads(line)
        except json.JSONDecodeError as error:
            where = f"line {number}, character {error.pos}"
            raise KgbuildError(f"{path.name} is not JSON Lines: {error.msg}", where=where) from None
        except UNREADABLE as error:
            where = f"after line {number}"
            raise KgbuildError(f"{path.name} holds unreadable bytes ({type(error).__name__})", where=where) from None


def _id(start: object, end: object) -> str:
    return f"{start}-{end}" if isinstance(start, int) and isinstance(end, int) else "?"


def _score(item: list[Any], place: int) -> float | None:
    return float(item[place]) if len(item) > place and isinstance(item[place], int | float) else None


def _items(obj: dict[str, Any], name: str, size: int, problems: list[str]) -> Iterator[list[Any]]:
    """All items of all sentences; ``predicted_<name>`` where ``<name>`` is absent."""
    listed = obj.get(name, obj.get(f"predicted_{name}", []))
    if not isinstance(listed, list) or not all(isinstance(part, list) for part in listed):
        problems.append(f"{name} is not a list of lists")
        return
    for item in (item for part in listed for item in part):
        if isinstance(item, list) and len(item) >= size:
            yield item
        else:
            problems.append(f"an item of {name} has not {size} parts")
