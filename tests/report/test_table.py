import io

import pytest

from jam_jax.report import table
from jam_jax.report.columns import COLUMNS, rows
from tests.report import samples


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_fits_a_hundred_columns_in_plain_ascii():
    text = table.text(samples.results())
    assert max(map(len, text.splitlines())) <= 100
    assert text.isascii()


def test_every_number_stands_in_the_row_of_its_method():
    lines = table.text(samples.results()).splitlines()
    for row in rows(samples.results()):
        (line,) = [line for line in lines if line.startswith(row.name + " ")]
        written = line.removeprefix(row.name).replace("*", " ").split()
        assert written == [c.show(v).replace("–", "-") for c, v in zip(COLUMNS, row.values, strict=True)]


def test_widest_values_are_not_cut():
    results = samples.results()
    for direction in ("image_to_text", "text_to_image"):
        results["test"][direction] |= {"r@1": 1.0, "r@5": 1.0, "r@10": 1.0}
        results["chance"][direction]["median_rank"] = 12345.5
    text = table.text(results)
    assert text.count("100.0*") == 6
    assert text.count("12346") == 2


def test_narrow_widths_keep_all_numbers():
    for row in rows(samples.results()):
        lines = [line for line in table.text(samples.results(), 70).splitlines() if line.startswith(row.name + " ")]
        written = " ".join(line.removeprefix(row.name) for line in lines).replace("*", " ").split()
        assert len(lines) == 2
        assert written == [c.show(v).replace("–", "-") for c, v in zip(COLUMNS, row.values, strict=True)]
    assert max(map(len, table.text(samples.results(), 70).splitlines())) <= 70


def test_a_file_gets_no_control_codes():
    file = io.StringIO()
    table.show(samples.results(), file)
    assert "\x1b" not in file.getvalue()
    assert file.getvalue() == table.text(samples.results())


@pytest.mark.parametrize("no_colour", [False, True])
def test_a_terminal_gets_bold_and_colour_only_if_wanted(monkeypatch, no_colour):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_colour:
        monkeypatch.setenv("NO_COLOR", "1")
    file = Terminal()
    table.show(samples.results(), file)
    assert "\x1b[1" in file.getvalue()
    assert ("\x1b[1;32m" in file.getvalue()) is not no_colour
    assert "26.2*" in file.getvalue()
