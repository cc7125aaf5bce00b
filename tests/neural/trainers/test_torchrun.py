"""Two processes train one model and write one checkpoint."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from kgbuild.models.checkpoint import load_checkpoint

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.neural.trainers import made
from kgbuild.trainers.base import TrainingData
from kgbuild.trainers.llm_kg import LLMKG
folder = Path(sys.argv[1])
recipe = made.recipe(max_steps=4, batch_size=3, log_steps=1, evaluate_steps=4, evaluate_studies=3)
seen = []
def score(predicted, reference):
    seen.append((list(predicted), list(reference)))
    return {"triplet_f1": 0.25}
data = TrainingData(folder / "data", "two")
trained = LLMKG().train(recipe, data, folder / "out", score=score)
import os, json
Path(folder / f"rank{os.environ['RANK']}.json").write_text(json.dumps([seen, trained.metrics]))
"""


def test_two_processes(tmp_path: Path) -> None:
    from . import made

    made.pairs(tmp_path / "data")
    script = tmp_path / "two.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[3]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command += ["--master_addr", "127.0.0.1", "--master_port", str(port)]
    command += [str(script), str(tmp_path), str(root)]
    run = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    seen, metrics = zip(*(json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)), strict=True)
    assert seen[0] == seen[1]  # both know every text, in the order of the studies
    assert len(seen[0][0][0]) == 3
    assert metrics[0]["epochs"] == 2.0  # 12 pairs, 2 x 3 a step
    assert metrics[0]["validate_triplet_f1"] == 0.25
    steps = [line["step"] for line in made.log(tmp_path / "out") if "loss" in line]
    assert steps == [1, 2, 3, 4]  # one log, not two
    assert load_checkpoint(tmp_path / "out").meta.metrics["steps"] == 4
