"""Export ``graphml``: the whole graph in one GraphML file (http://graphml.graphdrawing.org), streamed.

Lists are written as JSON texts, dates as ISO 8601, since GraphML has neither. Written by hand rather than through
networkx, which holds the graph in memory; the tests read it back with networkx.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any, TextIO
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa

from kgbuild import files
from kgbuild.exports import _graph
from kgbuild.tables import EDGES, NODES

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd">\n'
)
_TYPES = {pa.int64(): "long", pa.float64(): "double", pa.bool_(): "boolean"}
# XML 1.0 has no way to write these, not even escaped
_ILLEGAL = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 65534, 65535, *range(55296, 57344)), 65533)


def write(path: Path, tables: Path) -> int:
    """Write the graph; returns nodes + edges written."""
    with files.atomic(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        return _write(tables, stream)


def _write(tables: Path, stream: TextIO) -> int:
    node_keys = _keys("node", list(NODES.values()), ("id",))
    edge_keys = _keys("edge", [edge.schema for edge in EDGES.values()], ("source", "target"))
    stream.write(_HEAD)
    for where, keys in (("node", node_keys), ("edge", edge_keys)):
        stream.write(f'<key id="{where}_label" for="{where}" attr.name="label" attr.type="string"/>\n')
        for name, kind in keys.items():
            stream.write(f'<key id="{where}_{name}" for="{where}" attr.name="{name}" attr.type="{kind}"/>\n')
    stream.write('<graph edgedefault="directed">\n')
    written = 0
    for label, batch in _graph.nodes(tables):
        for row in _graph.rows(batch):
            key = f"{label}:{row.pop('id')}"
            stream.write(
                f'<node id={_attribute(key)}><data key="node_label">{label}</data>{_data("node", row)}</node>\n'
            )
            written += 1
    for kind, start, end, batch in _graph.edges(tables):
        for row in _graph.rows(batch):
            source, target = f"{start}:{row.pop('source')}", f"{end}:{row.pop('target')}"
            ends = f"source={_attribute(source)} target={_attribute(target)}"
            stream.write(f'<edge {ends}><data key="edge_label">{kind}</data>{_data("edge", row)}</edge>\n')
            written += 1
    stream.write("</graph>\n</graphml>\n")
    return written


def _keys(where: str, schemas: list[pa.Schema], without: tuple[str, ...]) -> dict[str, str]:
    return {
        field.name: _TYPES.get(field.type, "string")
        for schema in schemas
        for field in schema
        if field.name not in without
    }


def _data(where: str, row: dict[str, Any]) -> str:
    return "".join(
        f'<data key="{where}_{name}">{escape(_text(value))}</data>' for name, value in row.items() if value is not None
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        value = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, dt.date):
        value = value.isoformat()
    return str(value).translate(_ILLEGAL)


def _attribute(text: str) -> str:
    return quoteattr(text.translate(_ILLEGAL))


NEEDS = "graph"
PLUGIN = write
