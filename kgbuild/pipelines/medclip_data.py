"""What MedCLIP learns from: one image a study, the sentences of its report, and what each sentence says, as labels.

The images, splits and patients are those of the training pairs (``training_data``); this adds a file a split beside
them. A label is an observation's words, alone and with each word that qualifies or locates it (``effusion``,
``effusion|right``, ``effusion|small``), so that two sentences agree the more the more they say alike; side and size
count, as they do for VLM-KG. A label is affirmed, denied, or, where the report is not sure, of no sign. Labels are
words, not concepts: no linking is needed. ``labels.json`` is written last.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kgbuild import files
from kgbuild.domain import Annotation, Failure
from kgbuild.errors import KgbuildError
from kgbuild.labels import EntityType, Presence, RelationType
from kgbuild.notation import read_annotations
from kgbuild.pipelines import records
from kgbuild.pipelines.runs import Progress, Run, silent
from kgbuild.tables import IMAGE_SENTENCES
from kgbuild.trainers.base import TrainingData

LABELS = "labels.json"
FEWEST = 10  # studies that must bear a label, or it is left out
MOST = 1000  # labels, the commonest
SPLITS = ("train", "validate")
_SIGNS = {Presence.PRESENT: 1, Presence.ABSENT: -1, Presence.UNCERTAIN: 0}
_ENDS = ".!?"
_ROWS = 1024


def add_sentences(source: Run | Sequence[Path], data: TrainingData, *, progress: Progress = silent) -> TrainingData:
    """Write ``<split>-sentences.parquet`` and ``labels.json`` beside prepared pairs, unless they are there.

    Args:
        source: the annotation run, or RadGraph's files, that the pairs were made from.
        data: the pairs.
        progress: told of studies read.

    Raises:
        KgbuildError: no sentence says anything of what is common enough to be a label.
    """
    if (data.folder / LABELS).is_file():
        return data
    chosen = {row["study_id"]: row for split in SPLITS for row in _pairs(data.folder / f"{split}.parquet")}
    common: Counter[str] = Counter()
    parts = {split: _Part(data.folder / f"{split}-sentences.parquet") for split in SPLITS}
    done = 0
    for annotation in _annotations(source):
        pair = chosen.pop(annotation.study_id, None)
        if pair is None:
            continue
        said = sentences(annotation)
        if pair["split"] == SPLITS[0]:
            common.update({name for _, labels in said for name in labels})
        parts[pair["split"]].add(_row(pair, said))
        done += 1
        if done % _ROWS == 0:
            progress("sentences", done, done + len(chosen))
    names = [name for name, studies in common.most_common(MOST) if studies >= FEWEST]
    for part in parts.values():
        part.close()
    if not names:
        raise KgbuildError(
            "there is nothing to tell images apart by", expected=f"an observation that {FEWEST} studies speak of"
        )
    files.write_text(data.folder / LABELS, json.dumps({"labels": names}, indent=0, ensure_ascii=False) + "\n")
    return data


def sentences(annotation: Annotation) -> list[tuple[str, dict[str, int]]]:
    """A report's sentences, in lower case, with their labels: name → 1 affirmed, -1 denied, 0 not sure.

    A sentence that names no observation is left out. Labels hold no word of another sentence.
    """
    found: list[tuple[str, dict[str, int]]] = []
    start = 0
    tokens = annotation.tokens
    for place, token in enumerate(tokens):
        last = place == len(tokens) - 1
        inside = place > 0 and not last and tokens[place - 1].text.isdigit() and tokens[place + 1].text.isdigit()
        if (token.text in _ENDS and not inside) or last:
            labels = _labels(annotation, start, place + 1)
            if labels:
                words = " ".join(one.text for one in tokens[start : place + 1])
                found.append((words.lower(), labels))
            start = place + 1
    return found


def _labels(annotation: Annotation, start: int, end: int) -> dict[str, int]:
    """What the entities of one sentence say."""
    here = {i for i, one in enumerate(annotation.entities) if start <= one.start < end}
    links = [one for one in annotation.relations if {one.source, one.target} <= here]
    modifies = {one.source for one in links if one.type is RelationType.MODIFY}
    labels: dict[str, int] = {}
    for index in sorted(here):
        head = annotation.entities[index]
        if head.type is not EntityType.OBSERVATION or index in modifies:
            continue
        sites = {one.target for one in links if one.source == index and one.type is RelationType.LOCATED_AT}
        words = sites | {
            one.source for one in links if one.type is RelationType.MODIFY and one.target in sites | {index}
        }
        name, sign = head.text.lower(), _SIGNS[head.presence]
        for label in (name, *(f"{name}|{annotation.entities[word].text.lower()}" for word in sorted(words))):
            if label not in labels or abs(sign) > abs(labels[label]):
                labels[label] = sign
    return labels


def _annotations(source: Run | Sequence[Path]) -> Iterator[Annotation]:
    if isinstance(source, Run):
        for number, _ in source.chunks():
            for row in source.table(number).to_pylist():
                if row["status"] not in ("rejected", "failed") and row["tokens"]:
                    yield records.to_annotation(row)
        return
    for path in source:
        for _, item in read_annotations(path):
            if not isinstance(item, Failure):
                yield item


def _pairs(path: Path) -> Iterable[dict[str, Any]]:
    if not path.is_file():
        return []
    rows: list[dict[str, Any]] = pq.read_table(
        path, columns=["study_id", "split", "image_id", "image_path"]
    ).to_pylist()
    return rows


def _row(pair: dict[str, Any], said: list[tuple[str, dict[str, int]]]) -> dict[str, Any]:
    return {
        **pair,
        "sentences": [words for words, _ in said],
        "labels": [list(labels) for _, labels in said],
        "signs": [list(labels.values()) for _, labels in said],
    }


class _Part:
    """One split's file, written in blocks and moved into place when it is whole."""

    def __init__(self, path: Path) -> None:
        self._rows: list[dict[str, Any]] = []
        self._path, self._part = path, files.part_path(path)
        self._writer = pq.ParquetWriter(self._part, IMAGE_SENTENCES, compression="zstd")

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == _ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()
        files.commit(self._part, self._path)

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=IMAGE_SENTENCES))
        self._rows = []
