"""`jaxgen sweep`: a sweep from a command line, with commas between the values of an option; and `jaxgen sweep take`."""

from jaxgen import cli, find, programs, settings
from jaxgen import training as single
from jaxgen.sweeping import listed, training
from jaxgen.sweeping.taking import take
from jaxgen.sweeping.training import options

TAKE, POSITIONAL = "Take a run out of a sweep, as an ordinary run.", "run index"
USAGE = """usage: jaxgen sweep FAMILY|FILE.py [--seeds N] [--lr A,B,...] [options of jaxgen train]
       jaxgen sweep take RUN INDEX [--name FOLDER]
"""


def run(arguments):
    if not arguments or arguments[0].startswith("-"):
        print(USAGE)
        return cli.listed([])
    name, *words = arguments
    if name == "take":
        return settings.call(take, words, "jaxgen sweep take", POSITIONAL)
    cls = find.family(name)
    words, lists = listed.of_words(cls, settings.every(cls, single.options, options)[0], words)
    settled = cli.asked("sweep", name, *words, more=options)
    programs.keep()
    return training.run(name, settled, settled.pop("seeds"), lists) and None
