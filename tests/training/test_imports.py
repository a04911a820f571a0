import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["training", "training.runs", "training.uncertainty"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    heavy = {"torch", "transformers", "matplotlib", "tensorboard"}
    code = f"import lmgym.{module}, sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
