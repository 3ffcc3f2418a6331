"""The page of `jaxgen verify --html`: one file that needs no other, for one case or many."""

from pathlib import Path

from jaxgen.errors import writing
from jaxgen.parity.report import case, mutations, overview, surroundings
from jaxgen.parity.report.elements import Html, element
from jaxgen.parity.report.style import STYLE


def write(data: dict, path) -> None:
    with writing(path):
        Path(path).write_text(page(data), encoding="utf-8")


def page(data: dict) -> str:
    """`data` is what `jaxgen verify --json` writes. Cases that differ come first."""
    results = sorted(data["results"], key=lambda result: result["ok"])
    named = [(f"case-{i + 1}", result) for i, result in enumerate(results)]
    head = [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"jaxgen verify: {overview.verdict(data)}"),
        element("style", Html(STYLE)),
    ]
    document = element("html", element("head", head), element("body", body(data, named)), lang="en")
    return f"<!doctype html>\n{document}\n"


def body(data, named):
    """From what is known at a glance to the details."""
    yield overview.header(data)
    if len(named) > 1:  # one case is all of the page
        yield overview.cases(named, data)
        yield overview.matrix(named)
    yield [case.section(name, result, len(named) == 1 or not result["ok"]) for name, result in named]
    if data.get("mutations"):
        yield mutations.section(data)
    yield surroundings.section(data)
