"""Are samples recognisable? A classifier fitted on the real images of a labelled set answers."""

import warnings
from typing import NamedTuple

import numpy as np

from jaxgen import data
from jaxgen.core import Input
from jaxgen.errors import UserError, needs

LEAST, PART = 0.02, 0.8  # of the samples in each class; of the certainty on held-out real images
MOST = 10_000  # images that the classifier is fitted on


class Verdict(NamedTuple):
    accuracy: float  # on held-out real images
    real: float  # mean top probability on held-out real images
    samples: float  # mean top probability on the samples
    shares: np.ndarray  # of each class among the samples

    @property
    def ok(self):
        return bool(self.shares.min() >= LEAST and self.samples >= PART * self.real)

    def __str__(self):
        shares = " ".join(f"{100 * share:.0f}" for share in self.shares)
        return (
            f"recognisable: {'yes' if self.ok else 'NO'}\n"
            f"  classifier: accuracy {self.accuracy:.3f} on held-out real images, certainty {self.real:.3f}\n"
            f"  samples: certainty {self.samples:.3f}, {self.samples / self.real:.2f} of the real (at least {PART})\n"
            f"  per cent in each class: {shares} (at least {100 * LEAST:.0f})"
        )


def recognise(images: np.ndarray, reference: data.Data) -> Verdict:
    """`images` (N, H, W, C) uint8. The classifier learns from real images in the size that the generator was shown; it
    looks at all of them in the size of the data."""
    if "label" not in reference.train.keys():
        raise UserError(f"{reference.name}: has no labels to recognise by.")
    (known, names), (test, labels) = (real(part, images.shape[1:]) for part in (reference.train, reference.test))
    native, shown = known.shape[1], images.shape[1]

    def seen(x):
        x = data.fit_images(data.fit_images(x, shown, shown, x.shape[-1]), native, native, x.shape[-1])
        return x.mean(-1).reshape(len(x), -1) / 255

    classifier, test = fitted(seen(known), names), seen(test)
    certain = classifier.predict_proba(seen(images))
    shares = np.bincount(certain.argmax(1), minlength=certain.shape[1]) / len(images)
    certainty = lambda p: float(p.max(1).mean())
    sure = certainty(classifier.predict_proba(test))
    return Verdict(classifier.score(test, labels), sure, certainty(certain), shares)


def real(source, shape):
    """-> images and labels of a part; those of a folder come in the size of the samples."""
    shape = source["image"].shape[1:] if isinstance(source, data.Arrays) else shape
    wanted = {"image": Input((1, *shape)), "label": Input((1,), high=float("inf"), dtype="int32")}
    some = data.fit(source, wanted, "crop", convert=True).take(np.arange(min(MOST, len(source))))
    return some["image"], some["label"]


def fitted(images, labels):
    """One hidden layer; two hundred passes are enough here, whether the optimiser thinks so or not."""
    classifier = needs("sklearn.neural_network", "demo").MLPClassifier((128,), alpha=1e-3, max_iter=200, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return classifier.fit(images, labels)
