"""``evaluate triplets``: a prediction's entities and relations against a reference's, study by study.

Scored over the reference's studies: one without a prediction counts as predicted empty, predicted ones that the
reference lacks are left out, both are counted. Where the two have different tokens for a study nothing is aligned:
the study is scored by offsets as it stands, and counted in ``text_differs``. Agreement of two annotators is the same
call. The result is JSON-able; each score is ``{"value", "n", "low", "high"}``, a fraction, null where 0/0:

- ``n_studies``, ``missing``, ``extra``, ``text_differs``: counts of studies; ``settings``: what changes the numbers;
- ``entity``, ``relation``: ``precision``, ``recall``, ``f1`` (micro, exact spans), ``macro`` (mean over the labels or
  types that the reference holds), ``relaxed`` (overlapping spans), ``by_label`` or ``by_type``; n is the reference's
  items (for ``precision`` the predicted ones);
- ``by_section.<name>.entity|relation``: where a side's tokens know their section (a relation's is its source's);
- ``radgraph.simple|partial|complete``: RadGraph-F1, see ``radgraph_f1``; n is the studies;
- ``triplet``: order-free precision, recall, F1 of triplet texts with marks and lone entities; ``triplet.plain`` in the
  paper's form, without both;
- ``polarity``: of observations with the same span, ``confusion[reference][predicted]`` (counts), ``errors`` (any other
  presence), ``flips`` (present for absent or the reverse), ``certainty_errors`` (uncertain on one side);
- ``invented_entities``: fraction of predicted entities whose words the reference's text does not hold;
- with a baseline: ``baseline``, the same scores for it, and ``difference`` (prediction minus baseline), whose
  intervals are from paired resamples of the studies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kgbuild.domain import Annotation
from kgbuild.labels import Presence
from kgbuild.metrics.counting import count_study
from kgbuild.metrics.matching import Spelling, speller
from kgbuild.metrics.radgraph_f1 import LEVELS
from kgbuild.metrics.score import RESAMPLES, SEED, Bootstrap
from kgbuild.metrics.tally import Tally
from kgbuild.metrics.trees import difference, finished

Annotations = Mapping[str, Annotation]


def score_triplets(
    reference: Annotations,
    predicted: Annotations,
    *,
    baseline: Annotations | None = None,
    labels: Spelling = "v1",
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Any]:
    """All scores; the module says what each key means. ``labels="xl"`` also tells measurements apart."""
    bootstrap = Bootstrap(len(reference), resamples=resamples, seed=seed)
    ours, counts = _measure(reference, predicted, bootstrap, labels)
    settings = {"labels": labels, "resamples": resamples, "seed": seed, "interval": "95% percentile over studies"}
    result: dict[str, Any] = {"n_studies": len(reference), **counts, "settings": settings, **finished(ours)}
    if baseline is not None:
        theirs, counts = _measure(reference, baseline, bootstrap, labels)
        result["baseline"] = {**counts, **finished(theirs)}
        result["difference"] = finished(difference(ours, theirs))
    return result


def _measure(
    reference: Annotations, predicted: Annotations, bootstrap: Bootstrap, labels: Spelling
) -> tuple[dict[str, Any], dict[str, int]]:
    tally = Tally(bootstrap)
    spell = speller(labels)
    differs = 0
    for number, study_id in enumerate(sorted(reference)):
        gold = reference[study_id]
        guess = predicted.get(study_id)
        differs += guess is not None and gold.text != guess.text
        count_study(tally, number, gold, guess, spell)
    counts = {
        "missing": sum(study_id not in predicted for study_id in reference),
        "extra": sum(study_id not in reference for study_id in predicted),
        "text_differs": differs,
    }
    return _tree(tally), counts


def _tree(tally: Tally) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, parts in (("entity", "by_label"), ("relation", "by_type")):
        each, macro = tally.prf_by(f"{name}.{parts}")
        tree[name] = {**tally.prf(name), **({"macro": macro} if macro else {})}
        tree[name] |= {"relaxed": tally.prf(f"{name}.relaxed"), parts: each}
    tree["by_section"] = {
        section: {name: tally.prf(f"{name}.by_section.{section}") for name in ("entity", "relation")}
        for section in tally.under("entity.by_section")
    }
    tree["radgraph"] = {level: tally.mean(f"radgraph/{level}") for level in LEVELS}
    tree["triplet"] = {**tally.prf("triplet"), "plain": tally.prf("triplet.plain")}
    kinds = [presence.value for presence in Presence]
    confusion = {gold: {guess: tally.total(f"polarity/{gold}/{guess}") for guess in kinds} for gold in kinds}
    rates = {name: tally.rate(f"polarity/{name}", "polarity") for name in ("errors", "flips", "certainty_errors")}
    tree["polarity"] = {"confusion": confusion, **rates}
    tree["invented_entities"] = tally.rate("invented", "entities")
    return tree
