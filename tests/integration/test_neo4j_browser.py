"""The shipped favourites and style in the real Neo4j Browser, in headless Chromium: signed in, run, drawn.

Screenshots go to ``.artifacts/`` (ignored by git; CI keeps them). ``test_favourites`` runs every question through the
driver too: it answers, starts from an index, and has a LIMIT.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from kgbuild.pipelines.workspace import Workspace
from kgbuild.resources import data
from tests.integration.neo4j_graph import operators
from tests.integration.neo4j_server import Neo4jServer

if TYPE_CHECKING:
    from neo4j import Driver
    from selenium.webdriver import Chrome
    from selenium.webdriver.chrome.service import Service

pytestmark = pytest.mark.integration
ARTIFACTS = Path(os.environ.get("KGBUILD_ARTIFACTS") or Path(__file__).parents[2] / ".artifacts")
DRAWN = ("One report: what it", "One finding: studies", "The neighbourhood of a finding")
SEEKS = ("NodeUniqueIndexSeek", "NodeIndexSeek")
_WAIT_S = 45  # within one step at most two waits are long
_HUNG_S = 85


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
    plan = operators(neo4j_driver, favourite.cypher, favourite.values)
    assert [name for name in plan if name.startswith(SEEKS)], f"does not start from an index: {plan}"
    assert not [name for name in plan if "Scan" in name], f"reads all of something: {plan}"
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


class Watchdog:
    """Ends a Chromium from which no step has come for a while: what waits for it then fails instead of hanging."""

    def __init__(self, service: Service, profile: Path) -> None:
        self._service = service
        self._profile = profile
        self._timer: threading.Timer | None = None
        self._step = ""
        self.reason: str | None = None

    def step(self, what: str) -> None:
        """A step begins, and the one before has ended."""
        self.rest()
        self._step = what
        self._timer = threading.Timer(_HUNG_S, self._bite)
        self._timer.daemon = True
        self._timer.start()

    def rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _bite(self) -> None:
        self.reason = f"Chromium hung: no answer for {_HUNG_S} s, in the step: {self._step}"
        process = getattr(self._service, "process", None)
        if process is not None:
            process.kill()
        with contextlib.suppress(OSError, ValueError):  # chromedriver's end is not Chromium's
            os.kill(int(os.readlink(self._profile / "SingletonLock").rpartition("-")[2]), signal.SIGKILL)

    @contextlib.contextmanager
    def tells(self) -> Iterator[None]:
        """Its own words in place of the broken connection's."""
        from selenium.common.exceptions import WebDriverException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (WebDriverException, HTTPError, OSError) as error:
            reason = self.reason or f"{self._step}: {str(error).strip() or type(error).__name__}"
            raise AssertionError(reason) from error
        finally:
            self.rest()


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Chrome, Watchdog]]:
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
        "--disable-background-networking",
        "--no-first-run",
        "--window-size=1600,1200",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(word)
    service = Service(str(driver))
    dog = Watchdog(service, profile)
    with dog.tells():
        dog.step("start Chromium")
        browser = webdriver.Chrome(options=options, service=service)
    browser.set_page_load_timeout(_WAIT_S)
    browser.set_script_timeout(_WAIT_S)
    yield browser, dog
    if dog.reason is None:
        with dog.tells():
            dog.step("end Chromium")
            browser.quit()


def _has_selenium() -> bool:
    try:
        import selenium  # noqa: F401
    except ImportError:
        return False
    return True


class Browser:
    """Neo4j Browser, signed in. Waits for conditions only; each step is under the watchdog's eye."""

    def __init__(self, chrome: Chrome, dog: Watchdog, server: Neo4jServer) -> None:
        self.chrome = chrome
        self._dog = dog
        dog.step("open Neo4j Browser")
        dbms = f"bolt://neo4j@127.0.0.1:{server.bolt_port}"
        chrome.get(f"{server.browser}?dbms={quote(dbms, safe='')}&cmd=edit&arg={quote('RETURN 1')}")
        self._find("input[type=password]").send_keys(server.password)
        dog.step("sign in")
        self._find("[data-testid=connect]").click()
        self._find("[data-testid=editor-Run]")

    def _until(self, what: str, condition: Callable[[], Any]) -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.chrome, _WAIT_S, 0.1).until(lambda _: condition(), f"no {what} within {_WAIT_S} s")

    def _find(self, selector: str) -> Any:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support import expected_conditions

        there = expected_conditions.element_to_be_clickable((By.CSS_SELECTOR, selector))
        return self._until(selector, lambda: there(self.chrome))

    def _ask(self, script: str) -> Any:
        return self.chrome.execute_script(f"return {script}")

    def run(self, text: str) -> None:
        """Put it into the editor and run; the frame that comes is the topmost."""
        from selenium.webdriver.common.keys import Keys

        self._dog.step(f"run {text[:60]}")
        frames = "document.querySelectorAll('article').length"
        typed = "(document.querySelector('.monaco-editor .view-lines') || {}).textContent"

        def typed_text() -> str:
            return "".join((self._ask(typed) or "").split())

        before = self._ask(frames)
        self._find(".monaco-editor .view-lines").click()
        keys = self.chrome.switch_to.active_element
        keys.send_keys(Keys.CONTROL, "a")
        keys.send_keys(Keys.DELETE)
        self._until("empty editor", lambda: not typed_text())
        self.chrome.execute_cdp_cmd("Input.insertText", {"text": text})  # as pasted: no bracket is added
        self._until("text in the editor", typed_text)
        self._find("[data-testid=editor-Run]").click()
        self._until(f"frame for {text[:60]}", lambda: self._ask(frames) > before)

    def drawn(self, nodes: int) -> tuple[int, int]:
        """(nodes, relationships) of the newest drawing, once it has so many nodes and stands still."""
        self._dog.step(f"draw {nodes} nodes")
        newest = "document.querySelector('article')"
        count = f"['node', 'relationship'].map(kind => {newest}.querySelectorAll('g.' + kind).length)"
        places = f"[...{newest}.querySelectorAll('g.node')].map(node => node.getAttribute('transform')).join()"
        end = time.monotonic() + _WAIT_S
        seen, last = (0, 0), ""
        while time.monotonic() < end:
            seen, now = tuple(self._ask(count)), self._ask(places)
            if seen[0] == nodes and seen[1] and now == last:
                break
            last = now
            time.sleep(0.5)
        return seen

    def picture(self, name: str) -> Path:
        self._dog.step(f"picture {name}")
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        path = ARTIFACTS / f"neo4j-browser-{name}.png"
        self.chrome.save_screenshot(str(path))
        return path


def test_favourites_are_drawn_in_browser(
    loaded: Neo4jServer, neo4j_driver: Driver, chrome: tuple[Chrome, Watchdog]
) -> None:
    style = (data("cypher") / "browser" / "style.grass").read_text(encoding="utf-8")
    with chrome[1].tells():
        browser = Browser(*chrome, loaded)
        # on one line: the editor adds a bracket to what is typed over several
        browser.run(":style " + " ".join(style.split()).replace(" }", "}"))
        for number, start in enumerate(DRAWN, 1):
            favourite = next(f for f in favourites() if f.title.startswith(start))
            graph = neo4j_driver.execute_query(favourite.cypher, favourite.values, result_transformer_=_graph)
            for line in favourite.params:
                browser.run(line)
            browser.run(favourite.cypher)
            nodes, edges = browser.drawn(len(graph.nodes))
            path = browser.picture(str(number))
            assert nodes == len(graph.nodes), favourite.title
            assert edges, favourite.title  # Browser adds some between the nodes drawn, and leaves out doubled ones
            assert path.stat().st_size > 10_000


def _graph(result: Any) -> Any:
    return result.graph()
