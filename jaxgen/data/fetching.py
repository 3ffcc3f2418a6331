"""Built-in sets from the hosts that publish them, checked by the hash that torchvision and the authors print."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

from jaxgen.errors import UserError, needs, writing

MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
TORONTO = "https://www.cs.toronto.edu/~kriz/"
# {set: (host, folder of the cache, {file: md5})}
FILES = {
    "mnist": (
        MNIST,
        "mnist",
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion_mnist": (
        FASHION,
        "fashion_mnist",
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "cifar10": (TORONTO, "", {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"}),
}


def fetch(name: str, cache: Path) -> Path:
    """The folder of the files, or the one file. $JAXGEN_MIRROR replaces the host: a server of the same
    files in the layout of our cache (NAME/ where a set has several files, for two sets name theirs alike)."""
    host, folder, files = FILES[name]
    if mirror := os.environ.get("JAXGEN_MIRROR"):
        host = "/".join(part.strip("/") for part in (mirror, folder) if part) + "/"
    for file, md5 in files.items():
        fetch_one(host + file, md5, cache / folder, file)
    return cache / folder if folder else cache / file


def fetch_one(url, md5, folder, file):
    """A file appears in the folder when all of it is there and its hash is right."""
    pooch, requests = needs("pooch", "demo"), needs("requests", "demo")
    pooch.get_logger().setLevel("ERROR")  # it would tell of files and hashes at length
    if not (folder / file).is_file():
        print(f"fetching {url} into {folder}", file=sys.stderr, flush=True)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with progress(file) as bar:
                get = pooch.HTTPDownloader(bar, chunk_size=1 << 16, timeout=30)
                pooch.retrieve(url, f"md5:{md5}", file, folder, downloader=get)
        except (requests.RequestException, ValueError) as error:
            raise UserError(f"{url}: cannot be fetched ({reason(error)}). Put {file} into {folder} by hand.") from error


@contextmanager
def progress(file):
    """A bar as pooch wants one, on a terminal; False elsewhere."""
    if not sys.stderr.isatty():
        yield False
        return
    console, rich = needs("rich.console", "demo"), needs("rich.progress", "demo")
    columns = "{task.percentage:>3.0f}%", rich.BarColumn(), rich.DownloadColumn(), rich.TransferSpeedColumn()
    with rich.Progress(*columns, console=console.Console(stderr=True)) as drawn:
        yield Bar(drawn, drawn.add_task(file))


class Bar:
    """pooch sets `total` and tells how many bytes came."""

    total = 0

    def __init__(self, drawn, task):
        self.drawn, self.task = drawn, task

    def update(self, count):
        self.drawn.update(self.task, total=self.total, advance=count)

    def reset(self):
        self.drawn.reset(self.task)

    def close(self):
        self.drawn.refresh()


def reason(error):
    """The cause in a few words; what requests says fills a screen."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"{response.status_code} {response.reason}"
    if isinstance(error, OSError):
        return {"ConnectionError": "no connection", "ConnectTimeout": "no answer", "ReadTimeout": "no answer"}.get(
            type(error).__name__, type(error).__name__
        )
    return "its hash is not the known one" if "hash" in str(error) else str(error)
