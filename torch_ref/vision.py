"""torchvision, imported in this one place: its wheel from the registry cannot load its compiled operators beside a
CPU-only PyTorch, though the transforms that the documents use need none of them."""

import sys

import torch

REPAIRED = []  # the library that holds the declarations; they live as long as it does


def torchvision():
    """The module; where its import stops at a missing operator, and only then, the two missing names are declared."""
    try:
        import torchvision
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        REPAIRED.append(torch.library.Library("torchvision", "DEF"))
        for operator in ("nms", "qnms"):
            REPAIRED[-1].define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision


def documented_transform(size, channels):
    """Resize, ToTensor and Normalize as the documents print them, mended for gray images in colour nets."""
    torchvision()
    from torchvision import transforms

    return transforms.Compose(
        [
            transforms.Resize((size, size)),
            transforms.Grayscale(channels),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * channels, (0.5,) * channels),
        ]
    )
