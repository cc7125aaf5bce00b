"""Does the image matter? VLM-KG with true images, with shuffled ones, and LLM-KG without, where the text hides what
the image shows.

    python benchmarks/image_matters.py [--work DIR] [--studies N] [--seed N] [--encoder-steps N] [--steps N] [--more N]

On the synthetic MIMIC words of side and size are removed from the report's sentences but not from the triplets that
are to be written. A small LLM-KG from random weights is trained on that; from it VLM-KG, with images, and, with as many
further steps on the same pairs, LLM-KG again, without. The image encoder is trained before, MedCLIP's way
(recipe ``medclip_tiny``), on another synthetic set of other patients. The three are compared on patients of whom no
study was trained on, over the triplets that hold a removed word. Stopped, the same command goes on with what is done.
``--stage`` makes one part only, so that two cores can work at once: ``encoder`` beside ``alone``, then all the rest.

What is asked: do true images beat shuffled ones (same model, same prompts; each study gets another patient's image) by
20 points of F1, and LLM-KG by as much? What came out, and what was narrowed, is in docs/image-matters.md. F1 counts a
triplet as often as it is written; intervals come from 1,000 bootstrap resamples of studies, paired.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import _side_and_size as hidden
import pyarrow as pa
import pyarrow.parquet as pq

from kgbuild import plugins, recipes
from kgbuild.domain import Annotation, Failure, Study
from kgbuild.metrics.score import Bootstrap, Sampled, ratio
from kgbuild.notation import read_annotations
from kgbuild.notation.prompts import instruction_prompt, template_for
from kgbuild.pipelines.medclip_data import FEWEST, sentences
from kgbuild.pipelines.source import resolve
from kgbuild.recipes import Recipe
from kgbuild.tables import IMAGE_SENTENCES, TRAINING_PAIRS
from kgbuild.trainers.base import TrainingData

PROMPT = "triplets_short"
STAGES = ("encoder", "first", "alone", "vlm")
_TEST_SHARE = 8  # one patient of so many is tested on
N_TOKENS = 8
OVER = {"side or size": hidden.REMOVED, "side": hidden.SIDES, "size": hidden.SIZES}


def kgbuild(*words: object) -> None:
    """One command of the command line, as a user gives it."""
    subprocess.run([sys.executable, "-m", "kgbuild", *map(str, words), "--quiet"], check=True)


def make(work: Path, name: str, studies: int, seed: int) -> tuple[Path, Path]:
    """A synthetic set with images; its root and its RadGraph JSON."""
    root, gold = work / name, work / f"{name}.json"
    marker = root / "synthetic.json"
    if not marker.is_file() or not json.loads(marker.read_text())["complete"]:
        kgbuild(
            "datasets", "make", "mimic", "--out", root, "--studies", studies, "--seed", seed, "--images", "--gold", gold
        )
    return root, gold


def encoder(work: Path, studies: int, seed: int, settings: dict[str, str]) -> Path:
    """The image encoder: recipe ``medclip_tiny`` on the sentences of another set that say a side or size."""
    root, gold = make(work, "encoder", studies, seed)
    folder = work / "images"
    names: Counter[str] = Counter()
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "validate": []}
    for study, image, path, annotation, tested in with_images(work, root, gold):
        split = "validate" if tested else "train"
        said = [
            (text, {hidden.one_word(name.replace("|", " | ")).replace(" | ", "|"): sign for name, sign in of.items()})
            for text, of in sentences(annotation)
            if any(hidden.holds(name.replace("|", " ")) for name in of)
        ]
        said = [
            (text, {name: sign for name, sign in of.items() if "|" not in name or hidden.holds(name.split("|")[1])})
            for text, of in said
        ]
        if said:
            row = {"study_id": study.id, "split": split, "image_id": image, "image_path": str(path)}
            parts = {"labels": [list(of) for _, of in said], "signs": [list(of.values()) for _, of in said]}
            rows[split].append({**row, "sentences": [text for text, _ in said], **parts})
            if not tested:
                names.update({name for _, of in said for name in of})
    folder.mkdir(parents=True, exist_ok=True)
    for split, some in rows.items():
        pq.write_table(pa.Table.from_pylist(some, schema=IMAGE_SENTENCES), folder / f"{split}-sentences.parquet")
    labels = [name for name, count in names.most_common() if count >= FEWEST]
    (folder / "labels.json").write_text(json.dumps({"labels": labels}))
    data = TrainingData(folder, f"seed {seed}, {studies} studies", {}, "synthetic")
    return train(work, "medclip", recipes.with_settings(recipes.load("medclip_tiny"), settings), data)


def with_images(work: Path, root: Path, gold: Path) -> Iterator[tuple[Study, str, Path, Annotation, bool]]:
    """(study, frontal image, its file, what the report says, whether the patient is one that is tested on)."""
    source = resolve("mimic", root, None, work, options={})
    place = {one.id: one for one in source.open().studies() if isinstance(one, Study)}
    patients = sorted({str(one.patient_id) for one in place.values()})
    random.Random(0).shuffle(patients)
    tested = set(patients[::_TEST_SHARE])
    for key, annotation in read_annotations(gold):
        study = place[key]
        image = next((one for one in study.images if (one.view or "") in ("PA", "AP")), None)
        path = source.find_image(image) if image else None
        if image is not None and path is not None and not isinstance(annotation, Failure):
            yield study, image.id, path, annotation, study.patient_id in tested


def pairs(work: Path, studies: int, seed: int) -> tuple[TrainingData, list[dict[str, Any]]]:
    """Training pairs of the patients trained on, and the rows of those tested on."""
    root, gold = make(work, "language", studies, seed)
    template = template_for(PROMPT, "full")
    found: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for study, image, path, annotation, tested in with_images(work, root, gold):
        for record in hidden.records(annotation):
            row = {"study_id": study.id, "split": None, "image_id": image, "image_path": str(path)}
            texts = {"prompt": instruction_prompt(record.text, template), "completion": f" {record.triplets}"}
            found[tested].append({**row, **texts, "patient": study.patient_id})
    left_open = hidden.Open(row["completion"] for row in found[False])
    rows = {tested: [row for row in some if row["completion"] in left_open] for tested, some in found.items()}
    kept, all_ = (sum(map(len, some.values())) for some in (rows, found))
    print(f"{kept:,} of {all_:,} sentences leave open what was removed")
    folder = work / "pairs"
    folder.mkdir(parents=True, exist_ok=True)
    train = pa.Table.from_pylist(rows[False], schema=TRAINING_PAIRS)
    pq.write_table(train, folder / "train.parquet")
    print(f"pairs: {len(rows[False]):,} sentences to train on, {len(rows[True]):,} of other patients to test on")
    return TrainingData(folder, f"seed {seed}, {studies} studies", {}, "synthetic"), rows[True]


def recipe(trainer: Any, steps: int, rate: float, model: recipes.ModelPart) -> Recipe:
    """A recipe of this benchmark."""
    return replace(
        Recipe(f"image_matters {trainer}", trainer),
        model=model,
        data=recipes.DataPart(dataset="mimic", prompt=PROMPT, max_length=512),
        training=recipes.TrainingPart(
            max_steps=steps,
            batch_size=32,
            accumulation=1,
            learning_rate=rate,
            warmup_steps=max(1, min(100, steps // 10)),
            weight_decay=0.01,
            precision="fp32",
            save_steps=100,
            log_steps=50,
            evaluate_studies=0,
        ),
        decoding=recipes.Decoding(strategy="greedy", max_new_tokens=160, batch_size=64),
    )


def train(work: Path, name: str, plan: Recipe, data: TrainingData) -> Path:
    """Train, or go on, or find that it was done."""
    out = work / name
    if not (out / "kgbuild.json").is_file():
        started, used = time.time(), time.process_time()
        plugins.find("trainers", plan.trainer)().train(plan, data, out, resume=True)
        print(f"{name}: {time.time() - started:.0f} s, {time.process_time() - used:.0f} CPU s", flush=True)
    return out


def write(checkpoint: Path, rows: list[dict[str, Any]], images: list[str] | None) -> list[str]:
    """What the model writes for each row; ``images``: which image each row is given."""
    import torch

    from kgbuild.models.checkpoint import load_checkpoint
    from kgbuild.models.embedding_cache import embed_images
    from kgbuild.models.generating import generate

    loaded = load_checkpoint(checkpoint)
    embeds = None
    if images is not None:
        paths = {row["image_id"]: Path(row["image_path"]) for row in rows}
        if loaded.image_encoder is None:
            raise SystemExit(f"{checkpoint} holds no image encoder")
        found = embed_images(loaded.image_encoder, list(paths.items()), None)
        drawn = {image: vector for image, vector in found.items() if isinstance(vector, torch.Tensor)}
        embeds = torch.stack([drawn[image] for image in images])
    decoding = recipes.from_dict(dict(loaded.meta.recipe)).decoding
    prompts = [row["prompt"] for row in rows]
    out = generate(loaded.model, loaded.tokenizer, prompts, decoding=decoding, image_embeds=embeds)
    return [one.text for one in out]


def shuffled(rows: list[dict[str, Any]]) -> list[str]:
    """For each row the image of a study of another patient; rows of one study get the same one."""
    studies = {row["study_id"]: row for row in rows}
    names, source = sorted(studies), random.Random(1)
    others: dict[str, str] = {}
    for name in names:
        while True:
            other = studies[source.choice(names)]
            if other["patient"] != studies[name]["patient"]:
                break
        others[name] = other["image_id"]
    return [others[row["study_id"]] for row in rows]


def f1(written: list[str], rows: list[dict[str, Any]], draws: Bootstrap, words: frozenset[str]) -> Sampled:
    """Micro F1 over triplets that hold one of ``words``, resampled by study."""
    studies = sorted({row["study_id"] for row in rows})
    place = {name: number for number, name in enumerate(studies)}
    right, both = [0.0] * len(studies), [0.0] * len(studies)
    n = 0
    for text, row in zip(written, rows, strict=True):
        said, wanted = hidden.counted(text, row["completion"], words)
        right[place[row["study_id"]]] += 2 * (said & wanted).total()
        both[place[row["study_id"]]] += said.total() + wanted.total()
        n += wanted.total()
    return ratio(draws.sums(right), draws.sums(both), n)


def compare(work: Path, tuned: Path, alone: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Print the table; the figures."""
    studies = sorted({row["study_id"] for row in rows})
    draws = Bootstrap(len(studies))
    written = {
        "VLM-KG, true images": write(tuned, rows, [row["image_id"] for row in rows]),
        "VLM-KG, shuffled images": write(tuned, rows, shuffled(rows)),
        "LLM-KG, no image": write(alone, rows, None),
    }
    bearing, total = hidden.share(row["completion"] for row in rows)
    patients = len({row["patient"] for row in rows})
    print(f"\n{len(studies):,} unseen studies of {patients:,} unseen patients, {len(rows):,} sentences")
    print(f"triplets that hold a removed side or size: {bearing:,} of {total:,} ({bearing / total:.1%})\n")
    print(f"{'F1 over triplets that hold':<28}" + "".join(f"{'a ' + name:>24}" for name in OVER))
    found = {
        name: {over: f1(texts, rows, draws, words) for over, words in OVER.items()} for name, texts in written.items()
    }
    first, *others = found
    for other in others:
        less = {over: found[first][over].minus(found[other][over]) for over in OVER}
        found[f"true minus {other.split(', ')[1]}"] = less
    table: dict[str, Any] = {"studies": len(studies), "affected": bearing, "triplets": total}
    for name, by_words in found.items():
        scores = {over: sampled.score() for over, sampled in by_words.items()}
        table[name] = {over: score.as_dict() for over, score in scores.items()}
        shown = (f"{one.value or 0:.3f} ({one.low or 0:.3f} to {one.high or 0:.3f})" for one in scores.values())
        print(f"{name:<28}" + "".join(f"{one:>24}" for one in shown))
    print(f"{'n':<28}" + "".join(f"{one.n:>24,}" for one in found[first].values()))
    return table


def main() -> None:
    """All steps, or those that are left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("image_matters"), help="folder for what is made")
    parser.add_argument("--studies", type=int, default=12_000, help="of each of the two sets")
    parser.add_argument("--seed", type=int, default=21, help="of the set for language; the encoder's is the next")
    parser.add_argument("--encoder-steps", type=int, default=800)
    parser.add_argument("--steps", type=int, default=600, help="of LLM-KG from random weights")
    parser.add_argument("--more", type=int, default=2500, help="steps of VLM-KG, and again of LLM-KG")
    parser.add_argument("--test", type=int, default=1500, help="sentences tested on, at most")
    parser.add_argument("--stage", choices=STAGES, help="make this only")
    given = parser.parse_args()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    started = time.time()

    def wanted(*stages: str) -> bool:
        return given.stage is None or given.stage in stages

    if wanted("encoder", "vlm"):
        steps = {"max_steps": given.encoder_steps, "batch_size": 96, "learning_rate": 2e-3, "warmup_steps": 20}
        settings = {
            f"training.{key}": str(value) for key, value in {**steps, "save_steps": 100, "log_steps": 20}.items()
        }
        eyes = encoder(work, given.studies, given.seed + 1, settings)
    if not wanted("first", "alone", "vlm"):
        return
    data, rows = pairs(work, given.studies, given.seed)
    scratch = recipes.ModelPart(
        base="scratch", scratch=recipes.Scratch(hidden=128, layers=2, heads=4, feed_forward=384, vocabulary=1200)
    )
    first = train(work, "llm", recipe("llm-kg", given.steps, 3e-3, scratch), data)
    if wanted("alone"):
        alone = train(work, "llm-again", recipe("llm-kg", given.more, 2e-3, recipes.ModelPart(base=str(first))), data)
    if wanted("vlm"):
        projector = recipes.Projector(
            prefix_length=N_TOKENS, clip_length=N_TOKENS, layers=2, heads=4, read="image", whiten=True
        )
        sees = recipes.ModelPart(base=str(first), image_encoder=str(eyes), image_variant="resnet", projector=projector)
        tuned = train(work, "vlm", recipe("vlm-kg", given.more, 2e-3, sees), data)
    if given.stage is not None:
        return
    table = compare(work, tuned, alone, _some(rows, given.test))
    table["seconds"] = round(time.time() - started)
    print(f"\n{table['seconds']:,} s in this run on {os.cpu_count()} cores, {platform.machine()}")
    (work / "table.json").write_text(json.dumps(table, indent=1) + "\n")


def _some(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Whole studies until there are so many sentences."""
    by_study: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_study.setdefault(row["study_id"], []).append(row)
    names = sorted(by_study)
    random.Random(2).shuffle(names)
    chosen: list[dict[str, Any]] = []
    for name in names:
        if len(chosen) >= most:
            break
        chosen += by_study[name]
    return chosen


if __name__ == "__main__":
    main()
