"""The README's picture of GANs: python scripts/games.py [--out FILE.png]. Trains a DCGAN with each objective, and the
other GANs, on the digits, some twenty minutes on two cores; a run that is there goes on, or is left as it is."""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
from PIL import Image

OBJECTIVES = {  # and what the recipe of the digits does not say
    "bce": (),
    "saturating": (),
    "least_squares": (),
    "hinge": (),
    "relativistic": (),
    "r1": (),
    "wasserstein_gp": ("--batch", "32"),
}
CONDITIONAL = ("cgan", "projection_gan")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="docs/games.png")
    out = parser.parse_args().out
    figure = plt.figure(figsize=(11, 10.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.1, 1))
    *games, last = above.subplots(2, 4).flat
    for axes, (name, options) in zip(games, OBJECTIVES.items(), strict=True):
        run = f"runs/dcgan-{name}"
        jaxgen("train", "dcgan", "--data", "digits", "--objective", name, "--name", run, *options)
        draw(axes, f"dcgan, {name}", run, "--count", "16")
    jaxgen("train", "wgan_gp", "--data", "digits")
    draw(last, "wgan_gp", "runs/wgan_gp-digits", "--count", "16")
    for axes, name in zip(below.subplots(1, 2), CONDITIONAL, strict=True):
        jaxgen("train", name, "--data", "digits")
        draw(axes, name, f"runs/{name}-digits", "--count", "100")
    figure.savefig(out, dpi=100)
    print(f"drawn: {out}")


def draw(axes, title, run, *options):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.png"
        jaxgen("sample", run, "--seed", "1", "--out", str(path), *options)
        axes.imshow(Image.open(path), cmap="gray")
    axes.set_title(title, fontsize=10)
    axes.axis("off")


def jaxgen(*words):
    print("jaxgen", *words, flush=True)
    subprocess.run([sys.executable, "-m", "jaxgen", *words], check=True)


main()
