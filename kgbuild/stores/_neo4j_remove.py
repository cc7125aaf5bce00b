"""Taking out what an earlier run wrote, and nothing else, a page at a time.

Before the new run is written: the old run's mentions, and what its studies say of concepts. Studies, images and
patients stay, because the new run most likely has them too and other people may point at them. After it is written:
studies, images and patients that the new run does not list, and concepts that nothing is linked to any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from kgbuild.stores._neo4j_connection import Connection
from kgbuild.stores._neo4j_meta import Lock
from kgbuild.stores._neo4j_tables import Selection

_PAGE = 2_000
_SAID = """
UNWIND $rows AS id MATCH (s:Study {id: id})
CALL (s) {
  MATCH (s)-[e:has_present|has_uncertain|has_absent]->(:Concept) DELETE e
  UNION
  MATCH (s)-[e:follows]->(:Study) DELETE e
  UNION
  MATCH (s)-[:has_image]->(:Image)-[e:shows]->(:Concept) DELETE e
}
"""
_STALE_IMAGE = """
UNWIND $rows AS id MATCH (s:Study {id: id})-[e:has_image]->(i:Image) WHERE i.study_id <> s.id DELETE e
"""
_ORPHANS = """
UNWIND $rows AS id MATCH (c:Concept {id: id})
WHERE NOT EXISTS { MATCH (c)-[r]-() WHERE NOT type(r) STARTS WITH 'concept_' }
DETACH DELETE c
"""


def pages(connection: Connection, label: str, where: str, /, **parameters: Any) -> Iterator[list[str]]:
    """Ids of the nodes ``n`` of a label that meet ``where``, in order, a page at a time."""
    after = ""
    cypher = f"MATCH (n:{label}) WHERE n.id > $after AND {where} RETURN n.id ORDER BY n.id LIMIT {_PAGE}"
    while True:
        ids = [row[0] for row in connection.read(cypher, after=after, **parameters)]
        if ids:
            yield ids
        if len(ids) < _PAGE:
            return
        after = ids[-1]


def studies(connection: Connection, dataset: str) -> Iterator[list[str]]:
    """Ids of the studies that the database has of a data set."""
    return pages(connection, "Study", "n.dataset = $dataset", dataset=dataset)


def remove_run(connection: Connection, lock: Lock, dataset: str, run: str) -> None:
    """Take out one data set's mentions and its studies' edges to concepts and one another."""
    for label in ("Observation", "Anatomy"):
        for ids in pages(connection, label, "n.run = $run", run=run):
            _each(lock, f"UNWIND $rows AS id MATCH (n:{label} {{id: id}}) DETACH DELETE n", ids)
    for ids in studies(connection, dataset):
        _each(lock, _SAID, ids)


def prune(connection: Connection, lock: Lock, dataset: str, kept: Selection) -> None:
    """Take out studies, images and patients of a data set that ``kept`` does not have."""
    listed = frozenset(kept.studies)
    images = frozenset(kept.images["id"])
    owners = dict(zip(kept.owners["target"], kept.owners["source"], strict=True))
    for page in studies(connection, dataset):
        _each(lock, _STALE_IMAGE, page)
        pictures = connection.read(
            "UNWIND $ids AS id MATCH (s:Study {id: id})-[:has_image]->(i:Image) RETURN i.id", ids=page
        )
        _delete(lock, "Image", [image for (image,) in pictures if image not in images])
        people = connection.read(
            "UNWIND $ids AS id MATCH (s:Study {id: id})<-[:has_study]-(p:Patient) RETURN p.id, s.id", ids=page
        )
        _leave(lock, [(patient, study) for patient, study in people if owners.get(study) != patient])
        _delete(lock, "Study", [study for study in page if study not in listed])


def prune_concepts(lock: Lock, candidates: Collection[str]) -> None:
    """Take out those of the named concepts that nothing is linked to any more."""
    ids = sorted(candidates)
    for start in range(0, len(ids), _PAGE):
        _each(lock, _ORPHANS, ids[start : start + _PAGE])


def _leave(lock: Lock, pairs: list[tuple[str, str]]) -> None:
    """Part patients and studies; a patient with no study left goes."""
    cypher = """
    UNWIND $rows AS pair MATCH (p:Patient {id: pair[0]})-[e:has_study]->(:Study {id: pair[1]})
    DELETE e
    WITH DISTINCT p WHERE NOT EXISTS { MATCH (p)-[:has_study]->() }
    DETACH DELETE p
    """
    _each(lock, cypher, [list(pair) for pair in pairs])


def _delete(lock: Lock, label: str, ids: list[str]) -> None:
    _each(lock, f"UNWIND $rows AS id MATCH (n:{label} {{id: id}}) DETACH DELETE n", ids)


def _each(lock: Lock, cypher: str, ids: list[Any]) -> None:
    if ids:
        lock.write_rows(cypher, ids)
