"""The page of `jaxgen verify --html`: whole, valid, self-contained, and clear about what differs."""

import copy
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from jaxgen.errors import StorageError
from jaxgen.parity import report
from jaxgen.parity.report import images, ladder, layers, plots, scales, style

ODD = 'gen.a<b>&"c"\'d'  # a name that would break a page which does not escape
KINDS = ("Conv2d", "BatchNorm2d", "ConvTranspose2d", "Tanh")
LEVELS = ("signatures", "names", "outputs", "losses", "gradients", "weights", "statistics", "averages", "samples")


def level(name, errors, gate=1e-9, left_out=None):
    where = max(errors, key=lambda key: float(errors[key]))
    worst = errors[where]
    told = {"about": f"what is called {name}", "unit": "of the array's largest value", "left_out": left_out or {}}
    return {
        "level": name,
        "gate": gate,
        "ok": float(worst) <= gate,
        "error": worst,
        "where": where,
        "errors": errors,
    } | told


def levels(layers):
    outputs = {f"{x['player']}: {x['path']} (call {x['call']})": x["error"] for x in layers}
    arrays = lambda size: {f"{x['path']}.weight": size * (i + 1) for i, x in enumerate(layers)}
    yield from (level(name, {"definitions": 0.0}, gate=0.0) for name in LEVELS[:2])
    yield level("outputs", outputs)
    for name in LEVELS[3:]:
        yield level(name, arrays(1e-16), left_out={ODD: "its gradient is round-off"} if name == "weights" else None)


def layer(path, i, error=2e-15, local=1e-16, backward=3e-16):
    sizes = {"error": error, "local": local, "backward": backward}
    return {
        "path": path,
        "kind": KINDS[i % 4],
        "call": 1,
        "player": path.split(".")[0],
        "shape": [8, 16, 16, 3],
    } | sizes


def net(blocks):
    return [layer(f"{net}.main.{i}", i) for net in ("disc", "gen") for i in range(blocks)] + [layer(ODD, 0)]


def rung(names, ok=True):
    noise = np.random.default_rng(0).lognormal(0, 0.3, (len(names), 3))
    rows = [
        {"level": "gradients", "array": name, "size": 240, "theirs": 1e-7 * a * c**4, "ours": 1.1e-7 * b * c**4}
        | {"ratio": 1.1 * b / a, "gate": 8, "ulps": 2.0, "ok": True}
        for name, (a, b, c) in zip(names, noise, strict=True)
    ]
    if not ok:
        rows[0] |= {"ours": 40 * rows[0]["theirs"], "ratio": 40.0, "ok": False}
    worst = max(rows, key=lambda row: row["ratio"])
    where = f"gradients: {worst['array']}"
    return {"rung": "float32", "device": "cpu", "ok": ok, "ratio": worst["ratio"], "where": where, "rows": rows}


def trajectory(steps=60):
    loss = lambda offset: [offset + math.exp(-i / 20) + 0.1 * math.sin(i) for i in range(steps)]
    sides = {f"{net}_loss": {"torch": loss(x), "jax": loss(x)} for net, x in (("disc", 0.5), ("gen", 1.0))}
    error = [0.0, *(1e-16 * (1 + i % 7) for i in range(1, steps))]
    return {"step": list(range(1, steps + 1)), "losses": sides, "error": error, "gate": 1e-9, "stopped": None}


def samples(off=0.0, count=4):
    x = np.random.default_rng(1).uniform(-1, 1, (count, 8, 8, 1)).round(3)
    return {"torch": x.tolist(), "jax": (x + off).tolist(), "low": -1.0, "high": 1.0}


def passing(name="dcgan size=32", blocks=6):
    calls = net(blocks)
    weights = [
        {"torch": x["path"], "jax": x["path"], "shape": [5, 12, 4, 4], "dtype": "float64", "rule": "as it is"}
        | {"reason": "the tree is a state_dict"}
        for x in calls
    ]
    told = {"case": name, "ok": True, "verdict": f"equal to 3e-14 in {len(LEVELS)} levels", "seconds": 3.21}
    parts = {"levels": [*levels(calls)], "layers": calls, "ladder": [rung([x["path"] for x in calls])]}
    rest = {"trajectory": trajectory(), "samples": samples(), "leaks": [], "diagnosis": None}
    return {**told, **parts, "weights": weights, **rest}


def failing():
    """A layer of its own fault, all behind it with the inherited one; a loss that is not finite."""
    result = passing("vae <b>bold</b>")
    calls = result["layers"]
    calls[8] |= {"error": 0.31, "local": 0.3, "backward": 0.25}
    for x in calls[9:]:
        x |= {"error": "inf", "local": 2e-16}
    found = {"layer": calls[8]["path"], "kind": calls[8]["kind"], "phase": "forward", "local": 0.3, "inherited": 1e-16}
    result |= {"ok": False, "verdict": "differs at gen.main.2", "levels": [*levels(calls)], "samples": samples(1e-3)}
    result["diagnosis"] = found | {"cause": "batch norm: eps 1e-3", "cure": "use eps=1e-5 & no more", "tried": 23}
    result["leaks"] = [{"op": "exp", "dtype": "float32", "source": "my_model.py:12 (<lambda>)"}]
    result["ladder"] = [rung([x["path"] for x in calls], ok=False)]
    return result


def mutation(i, killed=True):
    seen = LEVELS[2 + i % 7 :] if killed else ()
    told = {"mutation": f"fault {i}: eps < 1e-{i}", "about": f"a wrong constant, number {i}", "case": "dcgan size=32"}
    judged = {"layer_right": True, "cause_right": None if i % 3 else i % 2 == 0, "cause": f"eps & {i}"}
    rest = {"layer": "gen.main.1" if i % 2 else None, "diagnosis": judged if i % 2 else None, "killed": killed}
    return told | rest | {"levels": {name: 2e-2 for name in seen}, "first": seen[0] if seen else None}


@pytest.fixture(scope="module")
def data():
    faults = [mutation(i, killed=i != 30) for i in range(45)]
    setting = {"jax": {"jax_enable_x64": "in the check"}, "torch": {"cuda.matmul.allow_tf32": "False"}}
    environment = {
        "python": "3.11.9",
        "jax": "0.10.2",
        "device": "cpu x 1: <Intel> & more",
        "date": "2026-11-23T01:02:03",
    }
    told = {
        "jaxgen": "0.1.0",
        "command": "jaxgen verify 'a<b.py' --html x.html",
        "ok": False,
        "environment": environment,
    }
    return told | {"precision": setting, "results": [passing(), failing()], "mutations": faults}


@pytest.fixture(scope="module")
def whole(data):
    return Page(report.page(data))


class Page(HTMLParser):
    """The page as a reader sees it: texts, tables, images; and what a browser would stumble over."""

    VOID = ("meta", "img", "br")

    def __init__(self, source):
        super().__init__()
        self.source, self.open, self.faults, self.tags, self.texts = source, [], [], [], []
        self.feed(source)
        self.close()
        self.faults += [f"{tag} never ends" for tag in self.open]
        self.text = re.sub(r"\s+", " ", " ".join(self.texts))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if len(dict(attributes)) < len(attributes):
            self.faults.append(f"{tag} has an attribute twice")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"{tag} ends where it should not")

    def handle_data(self, text):
        if "style" not in self.open:
            self.texts.append(text)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def attribute(self, name):
        return [attributes[name] for _, attributes in self.tags if name in attributes]


def test_valid_html(whole):
    assert not whole.faults
    ids = whole.attribute("id")
    assert len(ids) == len(set(ids))
    links = whole.attribute("href")
    assert links and all(link.startswith("#") and link[1:] in ids for link in links)
    assert whole.source.startswith("<!doctype html>") and whole.all("html") == [{"lang": "en"}]
    assert len(whole.all("h1")) == 1


def test_broken_html_is_seen():
    assert Page("<p><b>x</p></b>").faults and Page("<p>").faults and Page('<p id="a" id="b"></p>').faults


def test_readable_without_eyes(whole):
    assert all(image["alt"] for image in whole.all("img"))
    assert all("scope" in header for header in whole.all("th"))
    assert len(whole.all("caption")) == len(whole.all("table"))
    assert all(picture.get("aria-label") or picture.get("aria-hidden") for picture in whole.all("svg"))


def test_nothing_is_fetched(whole):
    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe", whole.source)
    sources = whole.attribute("src")
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)


def words_of(x):
    """Every text of the data; numbers and the schema's own keys are not."""
    if isinstance(x, dict | list):
        return [text for one in (x.values() if isinstance(x, dict) else x) for text in words_of(one)]
    return [x] if isinstance(x, str) else []


def names_of(data):
    """The keys that are names."""
    yield from (name for result in data["results"] for part in result["levels"] for name in part["errors"])
    yield from (name for result in data["results"] for name in result["trajectory"]["losses"])
    yield from (name for one in data["mutations"] for name in one["levels"])
    yield from (name for settings in (data["environment"], *data["precision"].values()) for name in settings)
    yield ODD  # left out of the weights


def test_all_names_and_words_of_the_data_are_on_the_page(data, whole):
    assert not {text for text in (*words_of(data), *names_of(data)) if text not in whole.text}


@pytest.mark.parametrize("number", ["3.2", "2e-15", "inf", "0.31", "0.25", "40", "44 of 45", "60 steps", "13 arrays"])
def test_the_numbers_are_on_the_page(whole, number):
    assert number in whole.text


def test_what_comes_from_the_data_is_text(data, whole):
    assert ODD in whole.text and "vae <b>bold</b>" in whole.text
    assert ODD not in whole.source and "<b>bold" not in whole.source


def test_a_page_that_does_not_escape_is_seen(data, monkeypatch):
    monkeypatch.setattr(report.elements, "escape", str)
    page = Page(report.page(data))
    assert page.faults and ODD not in page.text


def test_a_failure_is_said_in_words(whole):
    for words in (
        "1 of 2 cases differs, 1 of 45 planted faults survived",
        "First to differ: gen.main.2 (ConvTranspose2d, call 1) by 0.31.",
        "With PyTorch's input it still differs, by 0.3: the fault is in this layer.",
        "First to differ on the way back: gen.main.2",
        "beyond the gate: outputs",
        "batch norm: eps 1e-3 cure use eps=1e-5 & no more tried 23 known faults",
        "less accurate than PyTorch",
        "1 operation narrower than float64",
    ):
        assert words.replace(" ", "") in whole.text.replace(" ", ""), words


def test_what_differs_comes_first(whole):
    assert whole.text.index("differs at gen.main.2") < whole.text.index("equal to 3e-14")


@pytest.mark.parametrize(
    "results, words",
    [
        ([passing()], "dcgan size=32: equal"),
        ([failing()], "vae <b>bold</b>: differs"),
        ([passing(), passing("vae")], "all equal in 2 cases"),
        ([failing(), failing(), passing()], "2 of 3 cases differ"),
        ([], "nothing was compared"),
    ],
)
def test_the_verdict(data, results, words):
    page = Page(report.page(data | {"results": results, "mutations": None, "ok": False}))
    assert not page.faults and page.text.strip().startswith(f"jaxgen verify: {words} jaxgen 0.1.0")


SECTIONS = {
    "levels": "Levels",
    "layers": "Layers",
    "ladder": "Precision",
    "trajectory": "Trajectory",
    "samples": "Samples",
    "weights": "Weights",
    "leaks": "Float leaks",
    "diagnosis": "Diagnosis",
}


@pytest.mark.parametrize("key, title", SECTIONS.items())
def test_no_section_without_data(data, key, title):
    heads = lambda result: set(re.findall("<h3>(.*?)</h3>", report.page(data | {"results": [result]})))
    assert heads(failing()) == set(SECTIONS.values())
    empty = {"levels": []} if key == "levels" else {key: None}
    assert heads(failing() | empty) == set(SECTIONS.values()) - {title}


def test_bare_results(data):
    """Neither parts, nor mutations, nor surroundings."""
    bare = {"case": "x", "ok": True, "verdict": "equal", "seconds": 1, "levels": []}
    page = Page(report.page({"jaxgen": "1", "command": "c", "ok": True, "results": [bare, bare]}))
    assert not page.faults and not {"mutations", "environment"} & set(page.attribute("id"))


def test_the_first_layer_to_differ():
    calls = net(3)
    assert layers.first_of(calls, 1e-9) == (None, None)
    calls[2] |= {"backward": 0.1}
    assert layers.first_of(calls, 1e-9) == (None, 2)
    for x in calls[4:]:
        x |= {"error": "inf", "local": 1e-16}
    assert layers.first_of(calls, 1e-9) == (4, 2)
    assert "it was given something else" in layers.sentence(calls, 4, 1e-9, "x")
    assert "With" not in layers.sentence([layer("a", 0, error=1.0, local=None)], 0, 1e-9, "x")


def test_the_tree_follows_the_paths():
    paths = ("net.down.0.conv", "net.down.0.norm", "net.down.0.norm", "net.down.0", "net.up")
    calls = [layer(path, 0) for path in paths]
    found = [(depth, part, place) for depth, part, place, _ in layers.lines(layers.nested(list(enumerate(calls))))]
    assert found == [
        (0, "net", None),
        (1, "down.0", 3),
        (2, "conv", 0),
        (2, "norm", 1),
        (2, "norm", 2),
        (1, "up", 4),
    ]


@pytest.mark.parametrize(
    "x, text",
    [
        (0.0, "0"),
        (2.1e-15, "2.1e-15"),
        (1e-9, "1e-9"),
        (1e-10, "1e-10"),
        (0.31, "0.31"),
        (4, "4"),
        (123.4, "123"),
        (123456.0, "1.2e5"),
        ("inf", "inf"),
        (None, "–"),
    ],
)
def test_numbers(x, text):
    assert scales.number(x) == text


@pytest.mark.parametrize("gate", [1e-9, 1e-8, 0.0])
def test_heat_tells_within_from_beyond(gate):
    sizes = [0.0, *np.geomspace(1e-18, 10, 300), "inf"]
    shades = [scales.heat(size, gate) for size in sizes]
    assert shades == sorted(shades) and shades[0] == "h0" and shades[-1] == "h8"
    assert all((shade > "h4") == (float(size) > gate) for size, shade in zip(sizes, shades, strict=True))
    assert scales.heat(None, gate) is None


def test_the_legend_tells_the_ends_of_the_shades():
    for i, bound in enumerate(scales.bounds(1e-9)[:-1]):
        assert scales.heat(bound * 0.999, 1e-9) == f"h{i + 1}"
        assert scales.heat(bound * 1.001, 1e-9) == f"h{i + 2}"


def test_ticks_lie_on_their_axes():
    for axis in (plots.linear([0.3, 2.7]), plots.linear([5, 5]), plots.linear([]), plots.logarithmic([3e-17, 2e-8])):
        ticks = axis.ticks()
        assert 3 <= len(ticks) <= 9
        assert [float(text) for _, text in ticks] == pytest.approx([value for value, _ in ticks])
        assert [axis.share(value) for value, _ in ticks] == sorted({axis.share(value) for value, _ in ticks})
    assert plots.logarithmic([1e-17, 1e-8]).share(1e-12) == pytest.approx(5 / 9)


def test_a_tiny_error_does_not_push_the_others_into_a_corner():
    row = {"level": "outputs", "array": "a", "size": 1, "ratio": 1.0, "gate": 4, "ulps": 0.0, "ok": True}
    errors = ((1e-70, 1e-70), (1e-7, 2e-7), (1e-6, 0.0), (3e-7, "inf"))
    rows = [row | {"theirs": theirs, "ours": ours} for theirs, ours in errors]
    drawn = ladder.scatter({"rung": "float32"}, rows)
    ticks = [float(text) for text in re.findall(r">(1e-\d+)</text>", drawn)]
    assert min(ticks) == 1e-7 and max(ticks) == 1e-6 and drawn.count("<circle") == 4


def test_arrays_that_overflow_on_both_sides_are_told_and_not_drawn():
    own = rung(["a", "b", "c"])
    own["rows"][0] |= {"theirs": "inf", "ours": "inf", "ratio": "nan", "ulps": "inf"}
    page = Page("".join(ladder.rung_part(own)[2:4]))
    assert "Not finite in this precision, with PyTorch as with us, and so without a ratio: 1 array." in page.text
    assert len(page.all("circle")) == 2
    assert page.text.index("gradients: b") < page.text.index("gradients: a 240 inf inf nan")


def test_dots_lie_above_the_line_of_the_gate_if_they_are_beyond_it():
    panel = plots.Panel(*[plots.logarithmic([1e-9, 1e-5])] * 2)
    line = ladder.limit(panel, 4, 2.0**-24)
    points = [tuple(map(float, point.split())) for point in re.findall(r"[ML]([\d. ]+)", line)]
    height = lambda x: np.interp(x, *zip(*points, strict=True))
    for theirs in (1e-9, 1e-8, 1e-7, 1e-6):
        for times, above in ((0.9, False), (1.1, True)):
            x, y = panel.point(theirs, times * 4 * (theirs + 2.0**-24))
            assert (y < height(x)) == above  # a picture counts its lines from the top


def test_a_curve_breaks_where_it_is_not_finite():
    panel = plots.Panel(plots.steps([1, 5]), plots.linear([0, 4]))
    assert re.sub("[^ML]", "", panel.curve(range(1, 6), [1, 2, "inf", 3, float("nan")], "jax")) == "MLM"


def decoded(whole):
    for source in whole.attribute("src"):
        yield np.asarray(Image.open(images.io.BytesIO(images.base64.b64decode(source.split(",")[1]))))


def test_the_samples_are_pictures(data):
    torch, jax, gap = decoded(Page(report.page(data | {"results": [failing()]})))
    assert torch.shape == jax.shape == gap.shape == (8, 4 * 9 - 1, 4)
    have = np.asarray(samples()["torch"])[0, :, :, 0]
    np.testing.assert_array_equal(torch[:, :8, 0], np.round((have + 1) * 127.5))
    assert (torch[:, 8, 3] == 0).all() and gap[:, :8, 0].max() == 255


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda x: x, "no difference, to the last bit"),
        (lambda x: x + 1e-3 * (x == x[0, 0, 0]), "2000 times enlarged"),
        (lambda x: np.where(x == x[0, 0, 0], np.nan, x), "largest difference 2"),
        (lambda x: x[:2], "their shapes are not the same"),
        (lambda x: np.concatenate([x, x], -1), "their shapes are not the same"),
    ],
)
def test_the_difference_of_samples(data, change, words):
    own = samples()
    own["jax"] = change(np.asarray(own["torch"])).tolist()
    page = Page(report.page(data | {"results": [passing() | {"samples": own}]}))
    assert words in page.text and not page.faults


def test_survivors_come_first_and_the_first_level_is_marked(whole):
    matrix = whole.source[whole.source.index('id="mutations"') :]
    rows = re.findall("<tr.*?</tr>", matrix[matrix.index("<tbody>") : matrix.index("</tbody>")])
    assert len(rows) == 45 and "SURVIVED" in rows[0] and "fault 30" in rows[0]
    assert sum("SURVIVED" in row for row in rows) == 1
    assert [row.count(">1st<") for row in rows] == [0] + [1] * 44
    filled = [len(re.findall('class="number dense h[5-8]"', row)) for row in rows[1:]]
    assert filled == [7 - i % 7 for i in range(45) if i != 30]


def test_the_score_of_the_diagnosis(whole):
    assert "names the right layer in 22 of 22, the right cause in 0 of 7" in whole.text


def test_a_long_list_of_arrays_is_cut_and_says_so(data):
    many = level("outputs", {f"layer{i}": 1e-16 * (1 + i) for i in range(50)})
    page = Page(report.page(data | {"results": [passing() | {"levels": [many]}]}))
    assert "10 more arrays, at most 1e-15" in page.text and "layer49" in page.text and "layer9 " not in page.text


def test_hundreds_of_layers(data):
    page = Page(report.page(data | {"results": [passing(blocks=150)], "mutations": None}))
    assert not page.faults and "301 calls" in page.text


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return np.dot((0.2126, 0.7152, 0.0722), linear)


def contrast(*colours):
    """Of the Web Content Accessibility Guidelines."""
    return np.divide(*sorted((luminance(colour) + 0.05 for colour in colours), reverse=True))


def test_contrast_is_theirs():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") < 4.5 < contrast("#767676", "#ffffff")  # the lightest gray that is allowed


@pytest.mark.parametrize("scheme", [style.LIGHT, style.DARK])
def test_contrast(scheme):
    """4.5 for texts, 3 for lines."""
    colours = dict(re.findall(r"--(\w+): (#\w{6});", scheme))
    texts = [(x, below) for x in ("text", "quiet", "link", "bad") for below in ("page", "soft", "failed")]
    texts += [("text", f"h{i}") for i in range(9)] + [("good", "page")]
    assert not [pair for pair in texts if contrast(*map(colours.get, pair)) < 4.5]
    assert all(contrast(colours[f"c{i}"], colours["page"]) >= 3 for i in range(6))


def test_every_colour_has_both_schemes():
    names = lambda scheme: re.findall(r"--(\w+):", scheme)
    assert names(style.LIGHT) == names(style.DARK)
    assert set(re.findall(r"var\(--(\w+)\)", style.STYLE)) <= {*names(style.LIGHT), "c", "depth"}


def test_it_is_written(data, tmp_path):
    report.write(data, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == report.page(copy.deepcopy(data))


def test_a_place_that_cannot_be_written(data, tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        report.write(data, tmp_path / "no" / "page.html")
