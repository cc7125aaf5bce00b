"""``evaluate text``: a prediction's triplet texts against a reference's, study by study.

A text is scored as it is written: a space is put round each ``,`` and ``;``, it is cut at white space, and nothing is
dropped, merged, reordered or lower-cased. Scored over the reference's studies: a missing prediction is an empty text.
The result is JSON-able; each score is ``{"value", "n", "low", "high"}``, null where 0/0 or not known:

- ``n_studies``, ``missing``, ``text_differs``: counts of studies; ``settings``: what changes the numbers;
- ``bleu1`` … ``bleu4``, ``brevity_penalty``: of the corpus; ``rouge_l``: mean over studies; as pycocoevalcap;
- ``length_ratio``: words predicted for each word of the reference (not a fraction);
- ``triplet``: order-free precision, recall, F1 of the pieces between ``;`` with their marks, as multisets: a piece
  that is no triplet counts as predicted;
- ``entity``, ``relation``: the same of the distinct words, and (head, type, tail), that a study's text names, unmarked;
- ``unparsed``: fraction of predicted pieces that are no triplet;
- ``invented_entities``: fraction of the predicted entities whose words the report lacks; null if no report is known;
- ``polarity``: of the entities that both texts name, ``errors`` (another set of presences) and ``flips`` (present for
  absent or the reverse); null where a side's texts carry no marks and no annotation says more;
- ``spans``: only for two annotated sides: ``entity`` and ``relation`` with exact spans and labels, and ``polarity``,
  as ``evaluate triplets`` has them;
- with a baseline: ``baseline`` and ``difference``, whose intervals are paired.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kgbuild.metrics.bleu import COLUMNS, ORDERS, bleu
from kgbuild.metrics.rouge import BETA
from kgbuild.metrics.score import RESAMPLES, SEED, Bootstrap, Sampled, Score, ratio
from kgbuild.metrics.text_counting import Facts, TextCounts, Written
from kgbuild.metrics.trees import difference, finished

Row = tuple[Written, Written | None, Written | None]
"""Reference, prediction and baseline of a study."""
UNKNOWN = Score(None, 0, None, None)


def score_text(
    rows: Iterable[Row],
    n: int,
    *,
    baseline: bool = False,
    beta: float = BETA,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Any]:
    """All scores of ``n`` studies, read once and one at a time; the module says what each key means."""
    bootstrap = Bootstrap(n, resamples=resamples, seed=seed)
    sides = [TextCounts(bootstrap, beta) for _ in range(1 + baseline)]
    for number, (reference, *predicted) in enumerate(rows):
        facts = Facts(reference)
        for side, guess in zip(sides, predicted, strict=False):
            side.count(number, reference, facts, guess)
    settings = {"beta": beta, "resamples": resamples, "seed": seed, "interval": "95% percentile over studies"}
    ours = _tree(sides[0])
    result: dict[str, Any] = {"n_studies": n, **_counts(sides[0]), "settings": settings, **finished(ours)}
    if baseline:
        theirs = _tree(sides[1])
        result["baseline"] = {**_counts(sides[1]), **finished(theirs)}
        result["difference"] = finished(difference(ours, theirs))
    return result


def text_measures(predicted: Sequence[str], reference: Sequence[str], *, beta: float = BETA) -> dict[str, float]:
    """Values alone, for lists of texts in memory: ``bleu1`` to ``bleu4``, ``rouge_l``, ``triplet_f1``, and so on.

    What is undefined (0/0: nothing to find and nothing found) is left out, except ``triplet_f1``, which is then 1.
    """
    rows: list[Row] = [(Written(b), Written(a), None) for a, b in zip(predicted, reference, strict=True)]
    tree = score_text(rows, len(rows), beta=beta, resamples=0)
    names = [*(f"bleu{k}" for k in range(1, ORDERS + 1)), "rouge_l", "brevity_penalty", "length_ratio", "unparsed"]
    found = {name: tree[name]["value"] for name in names}
    found |= {f"{name}_f1": tree[name]["f1"]["value"] for name in ("triplet", "entity", "relation")}
    return {"triplet_f1": 1.0} | {name: value for name, value in found.items() if value is not None}


def _counts(side: TextCounts) -> dict[str, int]:
    return {"missing": side.missing, "text_differs": side.text_differs}


def _tree(side: TextCounts) -> dict[str, Any]:
    tally, n = side.tally, side.tally.bootstrap.n
    sums = [tally.sums(f"bleu/{name}") for name in COLUMNS]
    scores, penalty = bleu(sums)
    defined = float(n) / n if n else float("nan")  # pycocoevalcap's guards would give no studies a score
    tree: dict[str, Any] = {f"bleu{k}": Sampled(score * defined, n) for k, score in enumerate(scores, 1)}
    tree["rouge_l"] = tally.mean("rouge")
    tree["brevity_penalty"] = Sampled(penalty * defined, n)
    tree["length_ratio"] = ratio(sums[ORDERS], sums[-1], n)
    tree |= {name: tally.prf(name) for name in ("triplet", "entity", "relation")}
    tree["unparsed"] = ratio(tally.sums("unparsed"), tally.sums("triplet/predicted"), tally.total("triplet/predicted"))
    tree["invented_entities"] = tally.rate("invented", "invented/of") if side.reports else UNKNOWN
    rates = ("errors", "flips")
    known = all(side.marked)
    tree["polarity"] = {name: tally.rate(f"polarity/{name}", "polarity") if known else UNKNOWN for name in rates}
    if side.annotated:
        spans = side.spans
        tree["spans"] = {name: spans.prf(name) for name in ("entity", "relation")}
        tree["spans"]["polarity"] = {
            name: spans.rate(f"polarity/{name}", "polarity") for name in (*rates, "certainty_errors")
        }
    return tree
