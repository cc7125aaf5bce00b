"""BLEU-1 to 4 of one reference a text, number for number as pycocoevalcap's ``Bleu`` (Papineni et al. 2002).

Corpus BLEU is a function of counts summed over the texts, so it is resampled like any other measure: nine columns, one
row a study. pycocoevalcap's guards against division by zero (``TINY``, ``SMALL``) are kept, since they decide what an
empty prediction scores: 0, not undefined.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import polars as pl

ORDERS = 4
TINY, SMALL = 1e-15, 1e-9
COLUMNS = (*(f"right{k}" for k in range(1, 5)), *(f"said{k}" for k in range(1, 5)), "reference")


def bleu_counts(reference: Sequence[str], predicted: Sequence[str]) -> tuple[int, ...]:
    """One text's counts in the order of ``COLUMNS``.

    Returns:
        n-grams of the prediction that the reference holds (each at most as often as there), n-grams of the prediction
        (n = 1 to 4 each), words of the reference.
    """
    said = [max(0, len(predicted) - k) for k in range(ORDERS)]
    if reference == predicted:
        return (*said, *said, len(reference))
    right = []
    for k in range(1, ORDERS + 1):
        wanted, given = (Counter(zip(*(words[i:] for i in range(k)), strict=False)) for words in (reference, predicted))
        both = wanted.keys() & given.keys()
        hits = sum(map(min, map(wanted.__getitem__, both), map(given.__getitem__, both)))
        right.append(hits)
        if not hits:  # a longer n-gram holds this one, so none can be right
            right += [0] * (ORDERS - k)
            break
    return (*right, *said, len(reference))


def bleu(sums: Sequence[pl.Series]) -> tuple[list[pl.Series], pl.Series]:
    """BLEU-1 to 4 and the brevity penalty, from the sums of ``COLUMNS`` (each of shape (1 + resamples,))."""
    right, said, reference = sums[:ORDERS], sums[ORDERS : 2 * ORDERS], sums[2 * ORDERS]
    ratio = (said[0] + TINY) / (reference + SMALL)
    penalty = (1 - 1 / ratio).clip(upper_bound=0.0).exp()
    product = pl.ones(len(reference), eager=True, dtype=pl.Float64)
    scores = []
    for k in range(ORDERS):
        product = product * ((right[k] + TINY) / (said[k] + SMALL))
        scores.append(product.pow(1 / (k + 1)) * penalty)
    return scores, penalty
