"""What a chunk holds, counted from its rows: the same numbers in a fresh run and in a catalog rebuilt from files."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from kgbuild.domain import Failure


def counts(table: pa.Table) -> dict[str, int]:
    """Studies by status, entities, relations and images of an annotation chunk; links of a link chunk.

    Of a language model's annotations also the pieces of output that were rejected, and each note by its own words.
    """
    if "status" not in table.column_names:
        return {"links": table.num_rows}
    status = table.column("status").to_pylist()
    images = pc.list_flatten(table.column("images"))
    absent = pc.struct_field(images, "path").null_count if len(images) else 0
    found = {
        "studies": sum(s != "rejected" for s in status),
        "annotated": status.count("annotated"),
        "empty": status.count("empty"),
        "failed": status.count("failed"),
        "rejected": status.count("rejected"),
        "entities": len(pc.list_flatten(table.column("entities"))),
        "relations": len(pc.list_flatten(table.column("relations"))),
        "images": len(images),
        "images_absent": absent,
    }
    return found | _written(table, status)


def _written(table: pa.Table, status: list[str]) -> dict[str, int]:
    """What only some extractors have; what is 0 is left out, so that the counts of others are as they were."""
    found = Counter({"skipped": status.count("skipped")})
    for pieces in table.column("rejected").to_pylist() if "rejected" in table.column_names else []:
        if pieces:
            found["rejected pieces"] += len(pieces)
            found["studies with rejected pieces"] += 1
    for notes in table.column("notes").to_pylist() if "notes" in table.column_names else []:
        found.update(notes or ())
    return {name: count for name, count in found.items() if count}


def failures(table: pa.Table) -> list[Failure]:
    """Quarantined studies and rejected rows of an annotation chunk; a linker abstains and fails none."""
    if "status" not in table.column_names:
        return []
    rows = table.select(["study_id", "status", "stage", "reason", "where"]).to_pylist()
    return [
        Failure(row["study_id"], row["stage"], row["reason"], row["where"])
        for row in rows
        if row["status"] in ("failed", "rejected")
    ]
