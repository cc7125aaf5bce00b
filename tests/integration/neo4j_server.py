"""A real Neo4j Community server for tests, without Docker: Maven artefacts, a home of its own, free ports.

The jars (130 MB) are fetched once with Maven, as Maven itself is configured, and kept in a user cache folder per
version: ``$XDG_CACHE_HOME/kgbuild-tests/neo4j-<version>``. Needs Java 17 or later and, the first time, Maven.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

VERSION = "5.26.20"
OLDER = "5.13.0"  # from before what kgbuild asks of a server
_BROWSER = ("org.neo4j.client", "neo4j-browser", "5.24.0")
_START_S = 240  # a limit for a machine that does much else; 5 s are usual
JAVA_QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")  # for programs that live for seconds
_JAVA = (
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "-Dio.netty.tryReflectionSetAccessible=true",
)


class Unavailable(Exception):
    """A program that the server needs is not installed; the message names the Debian package."""


def _need_java() -> None:
    if shutil.which("java") is None:
        raise Unavailable("no Java: apt-get install openjdk-17-jre-headless")
    told = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=60).stderr
    found = re.search(r'version "(\d+)', told)
    if not found or int(found.group(1)) < 17:
        raise Unavailable(f"Java 17 is needed, found {told.splitlines()[:1]}: apt-get install openjdk-17-jre-headless")


def jars(release: str = VERSION) -> Path:
    """Folder of the server's jars, fetched if this version has not been yet. Browser comes with ``VERSION`` only.

    Raises:
        Unavailable: Java or Maven is missing, or Maven could not fetch them.
    """
    _need_java()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kgbuild-tests"
    place = cache / f"neo4j-{release}"
    if place.is_dir():
        return place
    if shutil.which("mvn") is None:
        raise Unavailable("no Maven, which fetches the Neo4j server: apt-get install maven")
    cache.mkdir(parents=True, exist_ok=True)
    wanted = [("org.neo4j", "neo4j", release), ("org.neo4j.app", "neo4j-server", release)]
    wanted += [_BROWSER] if release == VERSION else []
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as name:
        folder = Path(name)
        dependencies = "".join(
            f"<dependency><groupId>{group}</groupId><artifactId>{artefact}</artifactId><version>{version}</version>"
            "</dependency>"
            for group, artefact, version in wanted
        )
        (folder / "pom.xml").write_text(
            "<project><modelVersion>4.0.0</modelVersion><groupId>kgbuild.tests</groupId><artifactId>neo4j</artifactId>"
            f"<version>1</version><packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>"
        )
        command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'lib'}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            raise Unavailable(f"Maven could not fetch Neo4j {release}: {(done.stdout + done.stderr)[-1500:]}")
        try:
            (folder / "lib").rename(place)
        except OSError:
            if not place.is_dir():  # else another process was quicker
                raise
    return place


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that no outgoing connection gets by chance meanwhile."""
    for _ in range(100):
        port = 10_000 + secrets.randbelow(20_000)  # the system gives out ports from 32768
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port between 10000 and 30000")


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Neo4jServer:
    """One server: its home, ports and password, and what a test does to it."""

    user = "neo4j"

    def __init__(
        self, home: Path, *, heap_mb: int = 512, pagecache_mb: int = 64, quick: bool = False, release: str = VERSION
    ) -> None:
        """Make a home. ``quick`` leaves the JVM's better compiler out: a test is over before it pays."""
        self.home = home
        self.lib = jars(release)
        self.bolt_port, self.http_port = free_port(), free_port()
        self.password = "p" + secrets.token_urlsafe(16)  # a dash in front would be an option to neo4j-admin
        self._heap_mb = heap_mb
        self._java = ("-XX:TieredStopAtLevel=1", *_JAVA) if quick else _JAVA
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("data", "logs", "conf", "import", "plugins", "run"):
            (home / name).mkdir(parents=True, exist_ok=True)
        settings = {
            "server.default_listen_address": "127.0.0.1",
            "server.bolt.listen_address": f":{self.bolt_port}",
            "server.bolt.advertised_address": f"127.0.0.1:{self.bolt_port}",
            "server.http.listen_address": f":{self.http_port}",
            "server.http.advertised_address": f"127.0.0.1:{self.http_port}",
            "dbms.security.auth_enabled": "true",
            "dbms.security.auth_max_failed_attempts": "0",
            "server.memory.pagecache.size": f"{pagecache_mb}m",
            "db.tx_log.rotation.retention_policy": "keep_none",
            "dbms.usage_report.enabled": "false",
            "server.config.strict_validation.enabled": str(release == VERSION).lower(),  # older ones know fewer
        }
        self.settings = settings
        self._write_settings({})
        self.admin("dbms", "set-initial-password", self.password)

    @property
    def uri(self) -> str:
        """Bolt address."""
        return f"bolt://127.0.0.1:{self.bolt_port}"

    @property
    def browser(self) -> str:
        """Address of Neo4j Browser."""
        return f"http://127.0.0.1:{self.http_port}/browser/"

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def admin(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run ``neo4j-admin`` on this home; raises with its output where it fails."""
        command = ["java", "-Xmx256m", *JAVA_QUICK, "-cp", f"{self.lib}/*", f"-Dbasedir={self.home}"]
        command += ["org.neo4j.cli.AdminTool", *args]  # what neo4j-admin starts in a second JVM
        home = {"NEO4J_HOME": str(self.home), "NEO4J_CONF": str(self.home / "conf")}
        done = subprocess.run(command, env={**os.environ, **home}, capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            words = " ".join(args).replace(self.password, "…")
            raise RuntimeError(f"neo4j-admin {words} failed:\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, *, wait: bool = True) -> None:
        """Start the process and wait until it answers. Call it from the main thread: it ends with its maker."""
        command = ["java", f"-Xms{self._heap_mb // 4}m", f"-Xmx{self._heap_mb}m", *self._java, "-cp", f"{self.lib}/*"]
        command += ["org.neo4j.server.CommunityEntryPoint", f"--home-dir={self.home}"]
        command += [f"--config-dir={self.home / 'conf'}"]
        with (self.home / "logs" / "console.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=_die_with_parent)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until HTTP and Bolt answer."""
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if self.pid is None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/", timeout=5):
                    pass
                with socket.create_connection(("127.0.0.1", self.bolt_port), timeout=5):
                    return
            except (OSError, urllib.error.URLError):
                time.sleep(0.2)
        log = (self.home / "logs" / "console.log").read_text(errors="replace")[-3000:]
        self.kill()
        raise RuntimeError(f"Neo4j did not start:\n{log}")

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """``kill -9``."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self, settings: dict[str, str] | None = None) -> None:
        """Stop and start, with these settings beside its own."""
        self.stop()
        self._write_settings(settings or {})
        self.start()

    def _write_settings(self, more: dict[str, str]) -> None:
        lines = [f"{key}={value}\n" for key, value in {**self.settings, **more}.items()]
        (self.home / "conf" / "neo4j.conf").write_text("".join(lines))
