"""Trains with Axolotl what lies in the folder of a job: run by Axolotl's own Python, in that folder."""

from __future__ import annotations

import os
import shutil


def main() -> None:
    """Train; go on from the newest checkpoint where there is one."""
    # Rows are prepared anew each time: Axolotl would load what a kill left half written.
    shutil.rmtree("prepared", ignore_errors=True)
    os.environ["AXOLOTL_DATASET_NUM_PROC"] = "0"  # written in this process too, not by a new one
    from axolotl.utils import set_pytorch_cuda_alloc_conf

    set_pytorch_cuda_alloc_conf()
    from axolotl.cli.args import TrainerCliArgs
    from axolotl.cli.config import load_cfg
    from axolotl.cli.train import do_train

    do_train(load_cfg("config.yaml"), TrainerCliArgs())


if __name__ == "__main__":
    main()
