"""The README of a bundle: how to train it on Colab, on Vast.ai, on RunPod and on any machine with a GPU."""

from __future__ import annotations

from collections.abc import Sequence

from components.train.params import HardwareName

__all__ = ["readme"]

_VAST: dict[HardwareName, str] = {
    "t4": "Tesla_T4", "l4": "L4", "rtx3090": "RTX_3090", "rtx4090": "RTX_4090", "a100-40": "A100_PCIE",
    "a100-80": "A100_SXM4", "h100": "H100_SXM",
}  # fmt: skip
_RUNPOD: dict[HardwareName, str] = {
    "l4": "NVIDIA L4", "rtx3090": "NVIDIA GeForce RTX 3090", "rtx4090": "NVIDIA GeForce RTX 4090",
    "a100-40": "NVIDIA A100 80GB PCIe", "a100-80": "NVIDIA A100-SXM4-80GB", "h100": "NVIDIA H100 80GB HBM3",
}  # fmt: skip
_IMAGE = "pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime"
_RUNPOD_IMAGE = "runpod/pytorch:1.0.3-cu1281-torch291-ubuntu2404"
"""Only their driver and their Python matter: the trainer and its torch are installed by the bundle."""
_START = """\
scp -P PORT $B.zip root@HOST:
ssh -p PORT root@HOST "python3 -m zipfile -e $B.zip ."
ssh -p PORT root@HOST "cd $B && nohup python3 train.py > train.out 2>&1 < /dev/null &"
ssh -p PORT root@HOST "tail -f $B/train.out"        # Ctrl-C ends the looking, not the training
scp -P PORT root@HOST:$B/{result} ."""
_TEXT = """\
# {recipe}: training in a bundle

{facts}

It holds {rows} examples (some of them held out), the trainer's configuration and its locked requirements, and no key.
{model}

## Google Colab (free T4)

1. Open colab.research.google.com, `File > Upload notebook`, and choose `train.ipynb` out of this archive.
2. `Runtime > Change runtime type > T4 GPU`, then `Runtime > Run all`. It asks for Drive, then for `{bundle}`.
3. A session that is cut: open the notebook again and `Run all`; it goes on from the checkpoint on your Drive.
4. `{result}` is downloaded at the end.

## Any Linux machine with an NVIDIA GPU

Python 3.10 or newer, a driver that `nvidia-smi` shows, {disk} GB of disk. On Windows: inside WSL.

```sh
python3 -m zipfile -e {bundle} . && cd {folder}
python3 train.py
```

It installs the trainer beside itself, trains, and writes `{result}`. After a cut, the same command goes on.
`--check` only looks; `--keep FOLDER` copies checkpoints to a folder that outlives the machine and goes on from there;
`CERVELLA_TRAINER_PYTHON=/path/to/python` uses an environment that is there instead of installing one.

## Vast.ai

```sh
B={folder}
pip install vastai && vastai set api-key YOUR_KEY
vastai create ssh-key "$(cat ~/.ssh/id_ed25519.pub)"       # once
vastai search offers 'gpu_name={vast} num_gpus=1 disk_space>={disk} inet_down>200 reliability>0.98' -o dph
vastai create instance OFFER --image {image} --disk {disk} --ssh --direct
vastai show instances                                     # until it says: running
vastai ssh-url INSTANCE                                   # ssh://root@HOST:PORT
{start}
vastai destroy instance INSTANCE                          # it costs until then, stopped as well
```

## RunPod

```sh
B={folder}
runpodctl doctor                                          # asks for the key and for SSH, once
runpodctl pod create --name {recipe} --gpu-id "{runpod}" \\
  --image {runpod_image} --container-disk-in-gb {disk} --ports 22/tcp
runpodctl pod list                                        # until it says: RUNNING
runpodctl ssh info POD                                    # HOST and PORT
{start}
runpodctl pod delete POD                                  # it costs until then
```

Without SSH, `runpodctl send FILE` on one side and `runpodctl receive CODE` on the other carry a file.
Versions of these two programs differ: `--help` of each says what yours calls an option.

## At home

```sh
cervella train unpack {result}
cervella run RECIPE
```

The result is checked against what was packed, judged as a training on your own machine is, and the run goes on from
there. If the examples or the recipe have changed since, it says what and takes nothing.
"""


def readme(
    *, recipe: str, bundle: str, result: str, facts: Sequence[str], rows: int, model: str, hardware: HardwareName,
    disk_gb: int,
) -> str:  # fmt: skip
    """The text of README.md.

    Args:
        recipe: name of the recipe.
        bundle: file name of the bundle.
        result: file name of what comes back.
        facts: lines: what is trained, and what it is expected to take.
        rows: how many examples are in it.
        model: where the base model comes from, a sentence.
        hardware: that the recipe is for; its names at the two providers.
        disk_gb: that a machine needs.
    """
    gpu = hardware if hardware in _RUNPOD else "rtx4090"
    names = {"bundle": bundle, "folder": bundle.removesuffix(".zip"), "result": result}
    return _TEXT.format(
        **names, recipe=recipe, rows=rows, model=model, facts="\n".join(f"- {line.strip()}" for line in facts),
        start=_START.format(result=result), disk=disk_gb, vast=_VAST.get(hardware, "RTX_4090"), runpod=_RUNPOD[gpu],
        image=_IMAGE, runpod_image=_RUNPOD_IMAGE,
    )  # fmt: skip
