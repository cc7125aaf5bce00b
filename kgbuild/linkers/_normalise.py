"""Strings to keys: which spellings of a name count as the same. Pure functions, no state.

Two keys. ``exact_form`` forgives case and the white space that tokenising puts around punctuation (``t - spine``).
``normal_key`` also forgives plurals, hyphens, British spelling, MeSH inversion (``effusion, pleural``), word order and
small words; it is a sorted bag of lemmas. ``without_qualifiers`` is what is left when side, size, severity, age and
extent are taken away. Words that say *no* are never dropped.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PUNCTUATION = re.compile(r"\s*([-/'’])\s*|\s+(?=[,;:.)])")
_MARK = re.compile(r"[-/'’,;:.)]")
_WORD = re.compile(r"[^\W_]+")
_ACRONYM = re.compile(r"[A-Z][A-Z0-9]{1,4}")
_SMALL_WORDS = frozenset(["a", "an", "and", "at", "by", "for", "in", "of", "on", "s", "the", "to", "with"])
# Words that narrow a finding or a site and do not change what it is. "No large effusion" denies large ones only, so no
# name that kgbuild gives a finding holds one of these: ``tests/unit/test_concepts.py``.
_QUALIFIERS = """
    left right bilateral unilateral sided biapical bibasilar bibasal basilar basal apical
    mild mildly moderate moderately severe severely minimal minimally slight slightly marked markedly significant
    small large tiny trace huge massive extensive focal multifocal diffuse patchy scattered multiple
    acute subacute chronic old new prior recent healed healing residual persistent
    displaced nondisplaced loculated layering tension definite suspicious
"""
QUALIFIERS = frozenset(_QUALIFIERS.split())
_IRREGULAR = {
    "apices": "apex",
    "atria": "atrium",
    "bases": "base",
    "bronchi": "bronchus",
    "bullae": "bulla",
    "calculi": "calculus",
    "costae": "costa",
    "diverticula": "diverticulum",
    "emboli": "embolus",
    "femora": "femur",
    "foci": "focus",
    "granulomata": "granuloma",
    "hila": "hilum",
    "humeri": "humerus",
    "indices": "index",
    "pleurae": "pleura",
    "scapulae": "scapula",
    "septa": "septum",
    "thoraces": "thorax",
    "thrombi": "thrombus",
    "vertebrae": "vertebra",
    "hiatus": "hiatal",
}
# The first that fits is used; None keeps the word.
_ENDINGS: tuple[tuple[str, str | None], ...] = (
    ("thoraces", "thorax"),
    ("ectases", "ectasis"),
    ("stases", "stasis"),
    ("oses", "osis"),
    ("sses", "ss"),
    ("shes", "sh"),
    ("ches", "ch"),
    ("xes", "x"),
    ("ies", "y"),
    ("ss", None),
    ("us", None),
    ("is", None),
    ("s", ""),
)
_BRITISH = (
    ("oedema", "edema"),
    ("oesoph", "esoph"),
    ("haem", "hem"),
    ("anaem", "anem"),
    ("paed", "ped"),
    ("tumour", "tumor"),
    ("fibre", "fiber"),
    ("calibre", "caliber"),
    ("centre", "center"),
    ("localis", "localiz"),
    ("grey", "gray"),
)


def exact_form(text: str) -> str:
    """Lower case, one space between words, none around hyphens, slashes and apostrophes or before commas."""
    if _MARK.search(text):
        text = _PUNCTUATION.sub(lambda m: m.group(1) or "", text)
    return " ".join(text.lower().split())


def acronym(text: str) -> str | None:
    """The acronym that a string is (two to five capitals, a plural ``s`` forgiven), or nothing."""
    bare = text.strip()
    if len(bare) > 6:
        return None
    if _ACRONYM.fullmatch(bare):
        return bare
    return bare[:-1] if bare.endswith("s") and _ACRONYM.fullmatch(bare[:-1]) else None


@lru_cache(maxsize=65536)
def lemma(word: str) -> str:
    """Singular, American spelling of one lower-case word."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for british, american in _BRITISH:
        if british in word:
            word = word.replace(british, american)
    if len(word) <= 3:
        return word
    for ending, replacement in _ENDINGS:
        if word.endswith(ending):
            return word if replacement is None else word[: -len(ending)] + replacement
    return word


def normal_key(text: str) -> str:
    """Sorted lemmas without small words; empty where nothing is left."""
    words = _WORD.findall(text.lower())
    return " ".join(sorted({lemma(word) for word in words if word not in _SMALL_WORDS}))


def without_qualifiers(key: str) -> str:
    """A normal key less the words that only narrow it."""
    return " ".join(word for word in key.split(" ") if word not in QUALIFIERS)
