"""The README's picture of diffusion: python scripts/diffusion.py [--out FILE.png] [options of jaxgen train]. Trains
ddpm, edm and flow on the digits, half an hour on two cores; a run that is there goes on, or is left as it is."""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
from PIL import Image

STRIP = ("DDPM, from noise to digits: 10 of 100 ancestral steps", "ddpm", "--frames", "10", "--count", "4")
GRIDS = (
    ("DDPM by DDIM, 10 steps", "ddpm", "--sampler", "ddim", "--sampling-steps", "10"),
    ("20 steps", "ddpm", "--sampler", "ddim", "--sampling-steps", "20"),
    ("50 steps", "ddpm", "--sampler", "ddim", "--sampling-steps", "50"),
    ("DDPM by Heun, 18 steps", "ddpm", "--sampler", "heun", "--sampling-steps", "18", "--spacing", "karras"),
    ("EDM by Heun, 18 steps", "edm"),
    ("EDM by DPM-Solver++, 10 steps", "edm", "--sampler", "dpmpp_2m", "--sampling-steps", "10"),
    ("flow by Euler, 50 steps", "flow"),
    ("flow by Heun, 10 steps", "flow", "--sampler", "heun", "--sampling-steps", "10"),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="docs/diffusion.png")
    known, options = parser.parse_known_args()
    for family in ("ddpm", "edm", "flow"):
        jaxgen("train", family, "--data", "digits", *options)
    figure = plt.figure(figsize=(11, 9.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.7))
    draw(above.subplots(), *STRIP)
    for axes, grid in zip(below.subplots(2, 4).flat, GRIDS, strict=True):
        draw(axes, *grid, "--count", "16")
    figure.savefig(known.out, dpi=100)
    print(f"drawn: {known.out}")


def draw(axes, title, family, *options):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.png"
        jaxgen("sample", f"runs/{family}-digits", "--seed", "1", "--out", str(path), *options)
        axes.imshow(Image.open(path), cmap="gray")
    axes.set_title(title, fontsize=10)
    axes.axis("off")


def jaxgen(*words):
    print("jaxgen", *words, flush=True)
    subprocess.run([sys.executable, "-m", "jaxgen", *words], check=True)


main()
