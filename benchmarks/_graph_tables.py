"""Node and edge tables of DESIGN §5 for any number of made-up studies, written straight to Parquet, chunk by chunk.

At 227,835 studies: about 5 M nodes and 14 M edges. Numbers a study are those of MIMIC-CXR as ``reference/numbers.md``
has them; concepts follow Zipf's law. No text of a report: words are drawn from a few dozen.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from kgbuild.tables import table_files

CHUNK = 10_000
FULL = 227_835
_TEXT = (
    "effusion pneumothorax opacity consolidation edema atelectasis cardiomegaly nodule tube catheter fracture "
    "thickening left right lung lobe base apex hilum heart mediastinum rib pleural interstitial bibasilar small"
)
_WORDS = _TEXT.split()
_OBSERVATIONS, _ANATOMIES, _IMAGES = 11.0, 8.0, 1.66  # a study, on average
_CONCEPTS = 4_000


def make(folder: Path, studies: int, seed: int = 7) -> dict[str, int]:
    """Write every table of a graph of ``studies`` studies; returns rows by table."""
    (folder / "nodes").mkdir(parents=True, exist_ok=True)
    (folder / "edges").mkdir(exist_ok=True)
    schemas = table_files()
    writers = {name: pq.ParquetWriter(folder / name, schema, compression="zstd") for name, schema in schemas.items()}
    rows = dict.fromkeys(schemas, 0)

    def put(table_name: str, /, **columns: object) -> None:
        schema = schemas[table_name]
        frame = pl.DataFrame(columns, strict=False)
        given = [pl.col(c) if c in frame.columns else pl.lit(None).alias(c) for c in schema.names]
        table = frame.select(given).to_arrow().cast(schema)
        writers[table_name].write_table(table)
        rows[table_name] += table.num_rows

    rng = np.random.default_rng(seed)
    concepts = np.array([f"C{i:07d}" for i in range(_CONCEPTS)])
    weights = 1.0 / np.arange(1, _CONCEPTS + 1)
    weights /= weights.sum()
    kinds = np.array(["observation", "observation", "anatomy", "device"])[np.arange(_CONCEPTS) % 4]
    put(
        "nodes/Concept.parquet",
        id=concepts,
        name=[f"{_WORDS[i % len(_WORDS)]} {i}" if i >= len(_WORDS) else _WORDS[i] for i in range(_CONCEPTS)],
        kind=kinds,
        source=np.full(_CONCEPTS, "synthetic"),
        semantic_types=[["T033"]] * _CONCEPTS,
    )
    findings = np.flatnonzero(kinds != "anatomy")
    finding_weights = weights[findings] / weights[findings].sum()
    for first in range(0, studies, CHUNK):
        _chunk(put, rng, first, min(CHUNK, studies - first), concepts, weights, findings, finding_weights)
    for kind in ("located_at", "modify", "suggestive_of"):
        pairs = np.unique(rng.choice(_CONCEPTS, size=(12_000, 2), p=weights), axis=0)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        put(
            f"edges/concept_{kind}.Concept.Concept.parquet",
            source=concepts[pairs[:, 0]],
            target=concepts[pairs[:, 1]],
            presence=np.full(len(pairs), "present"),
            n_studies=rng.integers(1, 5000, len(pairs)),
            n_patients=rng.integers(1, 3000, len(pairs)),
        )
    for writer in writers.values():
        writer.close()
    runs = {"synthetic": {"annotations": f"synthetic-{studies}", "links": f"synthetic-links-{studies}"}}
    (folder / "graph.json").write_text(json.dumps({"kgbuild": "0", "runs": runs, "rows": rows}, indent=1) + "\n")
    return rows


def _chunk(put, rng, first, n, concepts, weights, findings, finding_weights):  # type: ignore[no-untyped-def]
    number = np.arange(first, first + n)
    study = np.char.add("s", (50_000_000 + number).astype(str))
    patient_of = number * 2 // 7  # 3.5 studies a patient
    patient = np.char.add("p", (10_000_000 + patient_of).astype(str))
    new = np.concatenate([[first == 0 or patient_of[0] != (first - 1) * 2 // 7], patient_of[1:] != patient_of[:-1]])
    put("nodes/Patient.parquet", id=patient[new])
    days = np.datetime64("2110-01-01") + (number % 30_000)
    put(
        "nodes/Study.parquet",
        id=study,
        dataset=np.full(n, "mimic"),
        split=np.where(number % 50, "train", "test"),
        date=days,
        sections=[["findings", "impression"]] * n,
        path=np.char.add(np.char.add("files/", study), ".txt"),
        n_tokens=rng.integers(20, 200, n),
    )
    put("edges/has_study.Patient.Study.parquet", source=patient, target=study)
    later = np.flatnonzero(~new[1:]) + 1
    put(
        "edges/follows.Study.Study.parquet",
        source=study[later],
        target=study[later - 1],
        days=rng.integers(1, 400, len(later)),
    )
    of = np.repeat(np.arange(n), 1 + rng.poisson(_IMAGES - 1, n))
    image = np.char.add(np.char.add(study[of], "-i"), np.arange(len(of)).astype(str))
    put(
        "nodes/Image.parquet",
        id=image,
        study_id=study[of],
        view=np.array(["PA", "AP", "LATERAL"])[rng.integers(0, 3, len(of))],
        path=np.char.add(image, ".jpg"),
        rows=np.full(len(of), 3056),
        columns=np.full(len(of), 2544),
    )
    put("edges/has_image.Study.Image.parquet", source=study[of], target=image)
    ids, owner = {}, {}
    run = "rules-0123456789ab"
    for label, mean, shift in (("Observation", _OBSERVATIONS, 0), ("Anatomy", _ANATOMIES, 500)):
        count = 1 + rng.poisson(mean - 1, n)
        of = np.repeat(np.arange(n), count)
        token = shift + np.arange(len(of)) - np.repeat(np.concatenate([[0], np.cumsum(count)[:-1]]), count)
        key = np.char.add(
            np.char.add(np.char.add(study[of], ":"), token.astype(str)),
            np.char.add("-", (token + 1).astype(str)),
        )
        presence = np.array(["present", "absent", "uncertain"])[rng.choice(3, len(of), p=[0.65, 0.3, 0.05])]
        words = np.array(_WORDS)[rng.integers(0, len(_WORDS), len(of))]
        put(
            f"nodes/{label}.parquet",
            id=key,
            study_id=study[of],
            text=words,
            presence=presence if label == "Observation" else np.full(len(of), "present"),
            section=np.where(token % 2, "findings", "impression"),
            token_start=token,
            token_end=token + 1,
            char_start=token * 6,
            char_end=token * 6 + 5,
            is_measurement=np.zeros(len(of), dtype=bool),
            rule=np.full(len(of), "lexicon"),
            run=np.full(len(of), run),
        )
        put(f"edges/mentions.Study.{label}.parquet", source=study[of], target=key)
        linked = np.flatnonzero(rng.random(len(of)) < 0.83)
        put(
            f"edges/linked_to.{label}.Concept.parquet",
            source=key[linked],
            target=concepts[rng.choice(_CONCEPTS, len(linked), p=weights)],
            score=np.round(rng.random(len(linked)), 4),
            method=np.full(len(linked), "lexical"),
            covers=[[k] if i % 3 == 0 else [] for i, k in enumerate(key[linked])],
        )
        ids[label], owner[label] = key, (np.concatenate([[0], np.cumsum(count)[:-1]]), count)
    for kind, start, end, per_study in (
        ("located_at", "Observation", "Anatomy", 6.6),
        ("modify", "Observation", "Observation", 4.0),
        ("modify", "Anatomy", "Anatomy", 3.2),
        ("suggestive_of", "Observation", "Observation", 0.5),
    ):
        of = np.repeat(np.arange(n), rng.poisson(per_study, n))
        ends = []
        for label in (start, end):
            begin, count = owner[label]
            ends.append(begin[of] + rng.integers(0, 1 << 30, len(of)) % count[of])
        pairs = np.unique(np.stack(ends, axis=1), axis=0)
        if start == end:
            pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        put(
            f"edges/{kind}.{start}.{end}.parquet",
            source=ids[start][pairs[:, 0]],
            target=ids[end][pairs[:, 1]],
            presence=np.full(len(pairs), "present"),
            score=np.round(rng.random(len(pairs)), 3),
            run=np.full(len(pairs), run),
        )
    for kind, per_study in (("has_present", 6.4), ("has_uncertain", 0.9), ("has_absent", 5.0)):
        of = np.repeat(np.arange(n), rng.poisson(per_study, n))
        pairs = np.unique(np.stack([of, rng.choice(findings, len(of), p=finding_weights)], axis=1), axis=0)
        put(
            f"edges/{kind}.Study.Concept.parquet",
            source=study[pairs[:, 0]],
            target=concepts[pairs[:, 1]],
            n_mentions=rng.integers(1, 4, len(pairs)),
            sites=[["C0000002"] if i % 2 else [] for i in range(len(pairs))],
            qualified=rng.random(len(pairs)) < 0.2,
        )


if __name__ == "__main__":
    print(json.dumps(make(Path(sys.argv[1]), int(sys.argv[2])), indent=1))
