"""The shipped favourites and style in the real Neo4j Browser, in headless Chromium: signed in, run, drawn.

Screenshots go to ``.artifacts/`` (ignored by git; CI keeps them). ``test_favourites`` runs every question through the
driver too: it answers, starts from an index, and has a LIMIT.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from kgbuild.pipelines.workspace import Workspace
from kgbuild.resources import data
from tests.integration.neo4j_server import Neo4jServer

if TYPE_CHECKING:
    from neo4j import Driver
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.integration
ARTIFACTS = Path(os.environ.get("KGBUILD_ARTIFACTS") or Path(__file__).parents[2] / ".artifacts")
DRAWN = ("One report: what it", "One finding: studies", "The neighbourhood of a finding")
_WAIT_S = 60


class Favourite:
    """A paragraph of ``favourites.cypher``."""

    def __init__(self, text: str) -> None:
        lines = text.splitlines()
        self.title = lines[0].removeprefix("// ")
        self.params = [line.rstrip(";") for line in lines if line.startswith(":param")]
        body = [line for line in lines if not line.startswith((":param", "//"))]
        self.cypher = "\n".join(body).rstrip(";")
        pairs = (re.fullmatch(r":param (\w+) => (.+)", line) for line in self.params)
        self.values = {pair.group(1): _literal(pair.group(2)) for pair in pairs if pair}


def _literal(text: str) -> Any:
    return text[1:-1] if text.startswith("'") else int(text)


def favourites() -> list[Favourite]:
    text = (data("cypher") / "browser" / "favourites.cypher").read_text(encoding="utf-8")
    return [Favourite(paragraph) for paragraph in text.strip().split("\n\n")[1:]]


@pytest.fixture(scope="module")
def loaded(neo4j_server: Neo4jServer, neo4j_driver: Driver, built: Path) -> Neo4jServer:
    """The examples' graph, as ``load --store neo4j`` writes it."""
    from kgbuild.stores.neo4j import Neo4jStore
    from tests.integration.conftest import wipe

    if neo4j_server.pid is None:
        neo4j_server.start()
    wipe(neo4j_driver)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEO4J_PASSWORD", neo4j_server.password)
        store = Neo4jStore(uri=neo4j_server.uri)
        store.load(Workspace.open(built).graph)
        store.close()
    return neo4j_server


@pytest.mark.parametrize("favourite", favourites(), ids=lambda favourite: favourite.title[:40])
def test_favourites(loaded: Neo4jServer, neo4j_driver: Driver, favourite: Favourite) -> None:
    assert re.search(r"^LIMIT \d+$", favourite.cypher, re.MULTILINE), "no LIMIT"
    assert set(favourite.values) == set(re.findall(r"\$(\w+)", favourite.cypher)), "a parameter without :param"
    records, summary, _ = neo4j_driver.execute_query(f"EXPLAIN {favourite.cypher}", favourite.values)
    plan = str(summary.plan)
    assert "NodeUniqueIndexSeek" in plan or "NodeIndexSeek" in plan, "does not start from an index"
    assert "NodeByLabelScan" not in plan
    assert "AllNodesScan" not in plan
    records, summary, _ = neo4j_driver.execute_query(favourite.cypher, favourite.values)
    assert records or "next one" in favourite.title or "both" in favourite.title
    assert not [status for status in summary.gql_status_objects if status.is_notification]


def test_style_covers_every_label_and_type() -> None:
    from kgbuild.tables import EDGES, NODES

    text = (data("cypher") / "browser" / "style.grass").read_text(encoding="utf-8")
    rules = dict(re.findall(r"^((?:node|relationship)\S*) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL))
    assert {f"node.{label}" for label in NODES} <= set(rules)
    plain = {"has_study", "has_image", "follows", "mentions", "linked_to", "shows"}
    assert {f"relationship.{kind}" for kind in EDGES if kind not in plain} <= set(rules)
    looks = [
        tuple(re.findall(r"^  (?:color|shaft-width): (.*);$", rules[f"relationship.has_{word}"], re.MULTILINE))
        for word in ("present", "uncertain", "absent")
    ]
    assert len({color for color, _ in looks}) == len({width for _, width in looks}) == 3


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Headless Chromium. Skipped loudly where it is missing; in CI that fails."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    missing = [
        *(["selenium (pip install 'kgbuild[dev]')"] if not _has_selenium() else []),
        *(["Chromium (apt-get install chromium)"] if binary is None else []),
        *(["chromedriver (apt-get install chromium-driver)"] if driver is None else []),
    ]
    if missing:
        reason = "NEO4J BROWSER TESTS NOT RUN, missing: " + ", ".join(missing)
        if os.environ.get("CI"):
            pytest.fail(f"CI must run them. {reason}")
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(binary)
    profile = tmp_path_factory.mktemp("chromium")
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1600,1200",
    ):
        options.add_argument(word)
    options.add_argument(f"--user-data-dir={profile}")
    browser = webdriver.Chrome(options=options, service=Service(str(driver)))
    yield browser
    browser.quit()


def _has_selenium() -> bool:
    try:
        import selenium  # noqa: F401
    except ImportError:
        return False
    return True


class Browser:
    """Neo4j Browser, signed in."""

    def __init__(self, chrome: Chrome, server: Neo4jServer) -> None:
        self.chrome = chrome
        self._server = server
        self._open("RETURN 1")
        self._find("input[type=password]").send_keys(server.password)
        self._find("[data-testid=connect]").click()
        self._find("[data-testid=editor-Run]")

    def _open(self, text: str) -> None:
        dbms = f"bolt://neo4j@127.0.0.1:{self._server.bolt_port}"
        self.chrome.get(f"{self._server.browser}?dbms={quote(dbms, safe='')}&cmd=edit&arg={quote(text)}")

    def _find(self, selector: str) -> Any:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support import expected_conditions
        from selenium.webdriver.support.ui import WebDriverWait

        there = expected_conditions.element_to_be_clickable((By.CSS_SELECTOR, selector))
        return WebDriverWait(self.chrome, _WAIT_S).until(there)

    def all(self, selector: str) -> list[Any]:
        from selenium.webdriver.common.by import By

        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def run(self, text: str) -> None:
        """Put it into the editor and run; the frame that comes is the topmost."""
        from selenium.webdriver.common.keys import Keys

        before = len(self.all("[data-testid=frame], article"))
        self._find(".monaco-editor .view-lines").click()
        keys = self.chrome.switch_to.active_element
        keys.send_keys(Keys.CONTROL, "a")
        keys.send_keys(Keys.DELETE)
        self.chrome.execute_cdp_cmd("Input.insertText", {"text": text})  # as pasted: no bracket is added
        time.sleep(0.3)
        self._find("[data-testid=editor-Run]").click()
        end = time.monotonic() + _WAIT_S
        while time.monotonic() < end and len(self.all("[data-testid=frame], article")) <= before:
            time.sleep(0.2)

    def drawn(self) -> tuple[int, int]:
        """(nodes, relationships) of the newest drawing, once it stands still."""
        end = time.monotonic() + _WAIT_S
        seen: tuple[int, int] = (0, 0)
        while time.monotonic() < end:
            now = (len(self.all("article:first-of-type g.node")), len(self.all("article:first-of-type g.relationship")))
            if now == seen and now[0]:
                return now
            seen = now
            time.sleep(1)
        return seen

    def picture(self, name: str) -> Path:
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        path = ARTIFACTS / f"neo4j-browser-{name}.png"
        self.chrome.save_screenshot(str(path))
        return path


def test_favourites_are_drawn_in_browser(loaded: Neo4jServer, neo4j_driver: Driver, chrome: Chrome) -> None:
    browser = Browser(chrome, loaded)
    style = (data("cypher") / "browser" / "style.grass").read_text(encoding="utf-8")
    # on one line: the editor adds a bracket to what is typed over several
    browser.run(":style " + " ".join(style.split()).replace(" }", "}"))
    for number, start in enumerate(DRAWN, 1):
        favourite = next(f for f in favourites() if f.title.startswith(start))
        graph = neo4j_driver.execute_query(favourite.cypher, favourite.values, result_transformer_=_graph)
        for line in favourite.params:
            browser.run(line)
        browser.run(favourite.cypher)
        nodes, edges = browser.drawn()
        path = browser.picture(str(number))
        assert nodes == len(graph.nodes), favourite.title
        assert edges, favourite.title  # Browser adds some between the nodes drawn, and leaves out doubled ones
        assert path.stat().st_size > 10_000


def _graph(result: Any) -> Any:
    return result.graph()
