import math
import re
from html.parser import HTMLParser

import pytest

from jam_jax.report import page
from jam_jax.report.columns import COLUMNS, rows
from jam_jax.report.gallery import gallery
from tests.report import samples

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Checker(HTMLParser):
    """Checks that tags balance; collects tags with attributes, ids and the text of table cells."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.cells, self.cell = [], [], [], None

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cell = []

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:], self.getpos())
        self.open.pop()
        if tag in ("td", "th"):
            self.cells.append("".join(self.cell).strip())
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell.append(data)


def checked(html):
    parser = Checker()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def built(captions=None):
    images, texts, owner, names = samples.latents()
    return gallery(images, texts, owner, captions or names, samples.picture, queries=6, worst=3)


@pytest.fixture(scope="module")
def html():
    return page.render(samples.results(), samples.history(), built())


def test_the_page_is_balanced_with_unique_ids(html):
    parser = checked(html)
    ids = [attrs["id"] for _, attrs in parser.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert html.startswith("<!DOCTYPE html>")


def test_the_page_holds_every_number_of_the_table(html):
    cells = checked(html).cells
    for row in rows(samples.results()):
        start = cells.index(row.name, cells.index("Method"))
        written = cells[start + 1 : start + 1 + len(COLUMNS)]
        assert written == [c.show(v) for c, v in zip(COLUMNS, row.values, strict=True)]


def test_the_page_loads_nothing_and_runs_nothing(html):
    for tag, attrs in checked(html).tags:
        assert tag not in ("script", "link", "iframe", "object", "embed")
        for name, value in attrs.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "srcset", "poster"):
                assert value.startswith(("data:", "#"))
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\(\s*['\"]?([^)]*)", html))
    assert len(html.encode()) < 2_000_000


def test_every_picture_has_words_and_every_header_a_scope(html):
    for tag, attrs in checked(html).tags:
        if tag == "img":
            assert attrs["alt"]
        if tag == "th":
            assert attrs["scope"] in ("row", "col", "colgroup")


def test_hostile_text_is_shown_not_run():
    hostile = '<script>alert(1)</script>" onerror="x'
    images, texts, owner, captions = samples.latents()
    results = samples.results()
    results["baselines"][hostile] = samples.scores(0.5, 20.0, 9)
    results["config"]["data"]["note"] = hostile
    results["data"]["name"] = hostile
    results["test"]["choice"]["hard_by_kind"][hostile] = 0.5
    html = page.render(results, samples.history(), built([hostile] * len(captions)))
    assert all("onerror" not in attrs and tag != "script" for tag, attrs in checked(html).tags)
    assert "&lt;script&gt;" in html


def test_right_answers_carry_the_mark_and_far_ones_their_rank(html):
    shown = built()
    marked = sum(answer.right for query in (*shown.sample, *shown.worst) for answer in query.answers)
    beyond = [query for query in (*shown.sample, *shown.worst) if query.right_rank > 5]
    parser = checked(html)
    right = [attrs for tag, attrs in parser.tags if tag == "li" and "right" in (attrs.get("class") or "").split()]
    assert len(right) == marked + len(beyond)
    assert [int(a["value"]) for a in right if "value" in a].count(shown.worst[0].right_rank) >= 1
    assert f"rank {shown.worst[0].right_rank} of 544" in html


def test_missing_parts_are_left_out_or_dashed():
    results = {"test": samples.scores(1.0, 5.0, 0), "baselines": {"cca": {"image_to_text": {"r@1": math.nan}}}}
    results["test"]["choice"]["hard_by_kind"] = {}
    html = page.render(results, [])
    cells = checked(html).cells
    start = cells.index("Regularised CCA")
    assert cells[start + 1 : start + 1 + len(COLUMNS)] == ["–"] * len(COLUMNS)
    for absent in ('id="training"', 'id="gallery"', 'id="kinds"', 'id="setup"', "nan"):
        assert absent not in html
    checked(page.render({}, []))


def test_pictures_may_be_missing():
    images, texts, owner, captions = samples.latents()
    html = page.render(samples.results(), [], gallery(images, texts, owner, captions, queries=2))
    assert all(tag != "img" for tag, _ in checked(html).tags)


def test_light_dark_and_print_know_the_same_colours(html):
    style = html[html.index("<style>") : html.index("</style>")]
    blocks = re.findall(r":root \{(.*?)\}", style, flags=re.S)
    names = [set(re.findall(r"--[\w-]+(?=:)", block)) for block in blocks]
    assert len(names) == 3 and names[0] == names[1] == names[2]
    assert set(re.findall(r"var\((--[\w-]+)\)", html)) <= names[0]


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_contrast_meets_wcag_aa_in_light_and_dark(html):
    for block in re.findall(r":root \{(.*?)\}", html, flags=re.S)[:2]:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for ink in ("ink", "soft", "jam", "right", "far", "series-1", "series-2", "series-3", "series-4"):
            for ground in ("paper", "card", *(["right-wash"] if ink == "right" else [])):
                light, dark = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_writing_leaves_one_whole_file(tmp_path):
    path = page.write(tmp_path / "report.html", samples.results(), samples.history())
    assert path.read_text(encoding="utf-8") == page.render(samples.results(), samples.history())
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
