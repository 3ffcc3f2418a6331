"""HTML from Python: all that is not an element already is escaped, so that no name of a layer becomes markup."""

from collections.abc import Iterator
from html import escape

VOID = ("br", "img", "meta")


class Html(str):
    """Text that is markup already."""


def element(tag, /, *content, **attributes) -> Html:
    """`class_` is the attribute class, `data_label` is data-label; an attribute that is None or False is left out."""
    opening = f"<{tag}{''.join(attribute(key, value) for key, value in attributes.items())}>"
    return Html(opening if tag in VOID else f"{opening}{joined(content)}</{tag}>")


def attribute(key, value):
    key = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {key}" if value is True else f' {key}="{escape(str(value))}"'


def joined(content) -> Html:
    """Elements, texts and rows of both, one after the other; None is nothing."""
    if content is None:
        return Html()
    if isinstance(content, list | tuple | Iterator):
        return Html("".join(map(joined, content)))
    return content if isinstance(content, Html) else Html(escape(str(content)))


def code(text):
    return element("code", text)


def quiet(*content):
    return element("span", *content, class_="quiet")


def mark(*content, good):
    """Words in the colour of their meaning."""
    return element("strong", *content, class_="good" if good else "bad")


def part(title, told, *content, opened=True):
    """A part of the page that folds; `told` is what there is to know when it is folded."""
    head = element("summary", element("h3", title), " ", element("span", told, class_="told"))
    return element("details", head, *content, open=opened, class_="part")


def more(title, *content):
    """What hardly anybody needs, folded."""
    return element("details", element("summary", title), *content, class_="more")
