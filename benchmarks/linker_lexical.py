"""How fast the lexical linker loads and links. Run: ``python benchmarks/linker_lexical.py``.

Claims: the embedded base loads in under 0.3 s; at least 200,000 mentions a second once their strings were seen. New
strings are made-up ones that link to nothing, the slowest case.
"""

from __future__ import annotations

import time

from kgbuild.domain import Mention
from kgbuild.labels import EntityType
from kgbuild.linkers.lexical import LexicalLinker

SEEN = (
    ("effusion", (("left pleural effusion", ("a", "b")), ("pleural effusion", ("b",)))),
    ("pneumothorax", ()),
    ("opacities", (("basilar opacities", ("a",)),)),
    ("normal", ()),
    ("nothing of the kind", ()),
)
N = 400_000


def rate(linker: LexicalLinker, mentions: list[Mention]) -> float:
    """Mentions a second."""
    start = time.perf_counter()
    for _ in linker.link(mentions):
        pass
    return len(mentions) / (time.perf_counter() - start)


def main() -> None:
    """Print the table."""
    start = time.perf_counter()
    linker = LexicalLinker()
    print(f"{'load':<28}{time.perf_counter() - start:>12.3f} s")
    kind = EntityType.OBSERVATION
    seen = [Mention(f"s:{n}-{n + 1}", *SEEN[n % len(SEEN)][:1], kind, SEEN[n % len(SEEN)][1]) for n in range(N)]
    new = [Mention(f"s:{n}-{n + 1}", f"word{n} thing", kind) for n in range(N // 10)]
    print(f"{'strings seen before':<28}{rate(linker, seen):>12,.0f} mentions/s")
    print(f"{'new strings, none links':<28}{rate(linker, new):>12,.0f} mentions/s")


if __name__ == "__main__":
    main()
