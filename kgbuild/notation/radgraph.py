"""RadGraph JSON: RadGraph 1.0, RadGraph-XL and what the ``radgraph`` package prints, all the same shape.

``{"p18/p18004941/s58821758.txt": {"text": "…", "entities": {"1": {"tokens": "effusion", "label": "OBS-DA",
"start_ix": 36, "end_ix": 36, "relations": [["located_at", "2"]]}}}}``: tokens are ``text.split(" ")``, ``end_ix`` is
inclusive, a relation stands with its source. Labels of both spellings may be mixed. A ``test.json`` holds two
annotators' entities under ``labeler_1`` and ``labeler_2``; say which one is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from kgbuild.domain import Annotation, Failure
from kgbuild.errors import StudyError, UsageError
from kgbuild.labels import Label, to_v1, to_xl
from kgbuild.notation.assemble import RawEntity, RawRelation, assemble, shown, sorted_annotation
from kgbuild.notation.json_stream import object_members

Spelling = Literal["v1", "xl"]
_SPELL = {"v1": to_v1, "xl": to_xl}
_PATH_KEY = re.compile(r"(?:files/)?p\d\d/p\d+/(s\d+)(?:\.txt)?")
_LABELER = re.compile(r"labeler_\d+")


def study_key(key: str) -> str:
    """Study id of a RadGraph key: ``[files/]p18/p18004941/s58821758.txt`` gives ``s58821758``, others stay."""
    found = _PATH_KEY.fullmatch(key)
    return found.group(1) if found else key


def to_radgraph(
    annotation: Annotation,
    *,
    labels: Spelling = "v1",
    data_source: str | None = None,
    data_split: str | None = None,
) -> dict[str, Any]:
    """One study's entry. Ids are "1"… in order of start; ``data_source`` and ``data_split`` stand only where given."""
    annotation = sorted_annotation(annotation)
    links: dict[int, list[list[str]]] = {}
    for link in annotation.relations:
        links.setdefault(link.source, []).append([link.type.value, str(link.target + 1)])
    entities = {
        str(place + 1): {
            "tokens": entity.text,
            "label": _SPELL[labels](Label(entity.type, entity.presence, entity.is_measurement)),
            "start_ix": entity.start,
            "end_ix": entity.end - 1,
            "relations": links.get(place, []),
        }
        for place, entity in enumerate(annotation.entities)
    }
    entry: dict[str, Any] = {"text": annotation.text, "entities": entities}
    if data_source is not None:
        entry["data_source"] = data_source
    if data_split is not None:
        entry["data_split"] = data_split
    return entry


def read_radgraph_entry(study_id: str, obj: object, extractor: str = "radgraph") -> tuple[Annotation, list[str]]:
    """The good part of an entry, and what is wrong with the rest (ids and offsets only)."""
    if not isinstance(obj, dict):
        return Annotation(study_id, (), extractor=extractor), ["the entry is not an object"]
    problems: list[str] = []
    text, listed = obj.get("text"), obj.get("entities")
    if not isinstance(text, str):
        problems.append("text is absent or not a string")
        text = ""
    if not isinstance(listed, dict):
        problems.append("entities are absent or not an object")
        listed = {}
    entities: list[RawEntity] = []
    relations: list[RawRelation] = []
    for key, value in listed.items():
        if not isinstance(value, dict):
            problems.append(f"entity {shown(key)}: not an object")
            continue
        words = value.get("tokens")
        if not isinstance(words, str):
            problems.append(f"entity {key}: tokens are absent or not a string")
            continue
        entities.append(RawEntity(key, value.get("start_ix"), value.get("end_ix"), value.get("label"), words))
        relations += _relations(key, value.get("relations"), problems)
    annotation, more = assemble(study_id, text.split(" ") if text else [], entities, relations, extractor)
    return annotation, problems + more


def _relations(source: str, listed: object, problems: list[str]) -> Iterator[RawRelation]:
    if not isinstance(listed, list):
        problems.append(f"entity {source}: relations are absent or not a list")
        return
    for pair in listed:
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], str):
            yield RawRelation(source, pair[1], pair[0])
        else:
            problems.append(f"entity {source}: a relation is not [type, id]")


def from_radgraph(study_id: str, obj: object, extractor: str = "radgraph") -> Annotation:
    """The entry as an annotation with its own tokens.

    Raises:
        StudyError: anything in it is wrong; the reason names the first problem and how many more there are.
    """
    annotation, problems = read_radgraph_entry(study_id, obj, extractor)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise StudyError(study_id, problems[0] + more)
    return annotation


def read_radgraph(
    path: Path, *, labeler: int | None = None, extractor: str = "radgraph"
) -> Iterator[tuple[str, Annotation | Failure]]:
    """Stream a file's entries as (its key, annotation or what is wrong); ``study_id`` is the key reduced.

    A study that comes twice is a Failure the second time.

    Raises:
        FileMissing: there is no such file.
        KgbuildError: malformed JSON; names the file, the key and the character offset.
        UsageError: the file holds several annotators' entities and ``labeler`` does not say which.
    """
    seen: set[str] = set()
    for key, entry in object_members(path):
        study_id = study_key(key)
        try:
            if study_id in seen:
                raise StudyError(study_id, "comes twice; the first was kept")
            seen.add(study_id)
            yield key, from_radgraph(study_id, _chosen(path, study_id, entry, labeler), extractor)
        except StudyError as error:
            yield key, Failure(study_id, "read", error.reason, where=f"{path.name}, key {key}")


def _chosen(path: Path, study_id: str, entry: object, labeler: int | None) -> object:
    """The entry with one annotator's entities in place."""
    if not isinstance(entry, dict):
        return entry
    labelers = sorted(name for name in entry if _LABELER.fullmatch(name))
    if labeler is None:
        if labelers and "entities" not in entry:
            raise UsageError(
                f"{path.name} holds the entities of {', '.join(labelers)}", expected="the number of one of them"
            )
        return entry
    own = entry.get(f"labeler_{labeler}")
    if not isinstance(own, dict):
        raise StudyError(study_id, f"no labeler_{labeler}; there is {', '.join(labelers) or 'none'}")
    return {**own, "text": entry.get("text")}
