"""Texts of models and people: safe whatever they say, and arithmetic stays what it was."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.text.rendering import LONGEST, markdown, rationale, without_marks

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert&#40;1&#41;</script></svg>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](vbscript:msgbox(1))",
    "<javascript:alert(1)>",
    '[x](https://a.example "onmouseover=alert(1)")',
    '[x](https://a.example/"onmouseover="alert(1))',
    "![x](https://a.example/pixel.png)",
    "```<script>\nalert(1)\n```",
    '```html" onload="alert(1)\nx\n```',
    "`<b onclick=alert(1)>`",
    "$<img src=x onerror=alert(1)>_1$",
    "\\(<script>alert(1)</script>\\)",
    "\\[\n</span><script>alert(1)</script>\n\\]",
    "\\begin{align}</span><img src=x onerror=alert(1)>\\end{align}",
    "\\boxed{<img src=x onerror=alert(1)>}",
    "<<<script>=alert(1)>>",
    "<!--><script>alert(1)</script>-->",
    "<math><mtext></mtext><style><img src=x onerror=alert(1)></style></math>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<style>*{display:none}</style>",
    "<form action=https://a.example><input name=p></form>",
    "<meta http-equiv=refresh content=0;url=https://a.example>",
    "<base href=https://a.example>",
    "<b style='position:fixed'>x</b>",
    "| <script>alert(1)</script> | b |\n|---|---|\n| <img src=x onerror=alert(1)> | c |",
]
SAFE_TAG = re.compile(
    r"</?(?:p|br|strong|em|code|pre|ul|ol|li|blockquote|hr|table|thead|tbody|tr|th|td)>"
    r'|<p class="said-heading">|<ol start="\d+">|</?span>|</?div>|</a>'
    r'|<span class="math(?: display)?">'
    r'|<a href="(?:https?:|mailto:)[^"<>]*"(?: title="[^"<>]*")?'
    r' rel="noopener nofollow noreferrer">'
)


def leftovers(html: str) -> str:
    """What is left of the HTML without the tags that this project writes."""
    return SAFE_TAG.sub("", html)


@pytest.mark.parametrize("render", [rationale, markdown])
@pytest.mark.parametrize("attack", ATTACKS)
def test_only_our_own_tags_come_out(attack, render):
    assert "<" not in leftovers(render(attack))


@given(st.text(alphabet="<>&\"'`$\\()[]{}*_#|-+=!:;/ \n\tabcjs:onerror123\x00\u202e", max_size=200))
def test_no_text_whatever_makes_another_tag(text):
    assert "<" not in leftovers(rationale(text))
    assert "<" not in leftovers(markdown(text))


@pytest.mark.parametrize(
    "written",
    [
        "2*3*4 = 24",
        "(2)*(3)*(4) = 24",
        "5*$3*$2 = $30",
        "2 *3 = 6 and 4* 5 = 20",
        "30 = 10 *p + 5*p, so 30 = 15* p.",
        "$5 and $10 make $15",
        "$5+$.50=$5.50",
        "It costs 5$ and 3$ more.",
        "He sells 3 at $4/lb and 2 at $5/lb.",
        "x_1 and x_2 are snake_case_names",
        "~5 or ~6",
        "a ^ b",
    ],
)
def test_arithmetic_and_prices_stay_as_written(written):
    assert rationale(written) == f"<p>{written}</p>"


def test_a_sum_in_columns_is_no_list():
    assert rationale("12\n+ 5\n= 17") == "<p>12<br>\n+ 5<br>\n= 17</p>"


def test_every_line_of_a_rationale_stays_a_line():
    assert rationale("one\ntwo\n    three") == "<p>one<br>\ntwo<br>\nthree</p>"
    assert "<br>" not in markdown("one\ntwo")


def test_markdown_is_read():
    html = markdown("# Rules\n\n1. **Rank**\n2. *Accept*\n\n> as `said`\n\n| a |\n|---|\n| b |")
    assert '<p class="said-heading"><strong>Rules</strong></p>' in html
    assert "<ol>\n<li><strong>Rank</strong></li>\n<li><em>Accept</em></li>\n</ol>" in html
    assert "<blockquote>\n<p>as <code>said</code></p>\n</blockquote>" in html
    assert "<td>b</td>" in html
    assert "<strong>重要</strong>" in rationale("这是**重要**的")


def test_links_lead_out_without_a_trace_and_pictures_are_not_loaded():
    html = markdown("[the paper](https://example.org/x) ![a](https://example.org/a.png)")
    assert (
        '<a href="https://example.org/x" rel="noopener nofollow noreferrer">the paper</a>' in html
    )
    assert "<img" not in html


def test_calculator_marks_are_not_shown():
    written = "Natalia sold 48/2 = <<48/2=24>>24 clips.\nThat is $<<9*2=18>>18."
    assert without_marks(written) == "Natalia sold 48/2 = 24 clips.\nThat is $18."
    assert "48/2 = 24 clips." in rationale(written)
    assert "&lt;&lt;x&gt;&gt;" in rationale("shift <<x>> stays")


def test_nul_and_marks_that_turn_the_text_around_are_left_out():
    assert rationale("a\x00b\u202ec\x07") == "<p>abc</p>"


@pytest.mark.parametrize(
    ("written", "tex"),
    [
        ("so $x$ is", "x"),
        ("so $x_1^2 + 3$ is", "x_1^2 + 3"),
        ("so $2x+3$ is", "2x+3"),
        ("there are $3$ apples", "3"),
        ("so \\(a*b*c\\) is", "a*b*c"),
        ("so \\(\\frac{1}{2}\\) is", r"\frac{1}{2}"),
        ("thus \\boxed{\\frac{1}{2}} ends", r"\boxed{\frac{1}{2}}"),
        ("**$x < 3$** holds", "x &lt; 3"),
    ],
)
def test_formulas_are_marked_and_their_tex_is_kept(written, tex):
    assert f'<span class="math">{tex}</span>' in rationale(written)


@pytest.mark.parametrize(
    ("written", "tex"),
    [
        ("$$x^2$$", "x^2"),
        ("Then\n\\[\n- 5 \\\\\n+ 3\n\\]\nso", "- 5 \\\\\n+ 3"),
        ("\\[ x \\] and more", "x"),
        (
            "\\begin{align}\nx&=1\\\\\ny&=2\n\\end{align}",
            "\\begin{align}\nx&amp;=1\\\\\ny&amp;=2\n\\end{align}",
        ),
    ],
)
def test_formulas_of_several_lines_are_not_read_as_markdown(written, tex):
    assert f'<span class="math display">{tex}</span>' in rationale(written)


def test_a_fence_keeps_its_dollars():
    assert rationale("```\n$x$ + 1\n```") == "<pre><code>$x$ + 1\n</code></pre>"


def test_a_very_long_text_is_shown_plain_and_at_once():
    text = "The number is $x_1$ and 3*4=12, **so** <b>it</b> holds.\n" * 4000
    assert len(text) > 200_000
    began = time.perf_counter()
    html = rationale(text)
    assert time.perf_counter() - began < 0.1
    assert html.startswith(
        "<p>The number is $x_1$ and 3*4=12, **so** &lt;b&gt;it&lt;/b&gt; holds.<br>"
    )


@pytest.mark.parametrize(
    "piece", ["[", "![", "*a ", "\\(", "\\[\n", "$x ", "> ", "- a\n", "[a](", "`"]
)
def test_no_short_text_takes_long(piece):
    text = (piece * LONGEST)[:LONGEST]
    began = time.perf_counter()
    rationale(text)
    assert time.perf_counter() - began < 2


def test_the_real_solutions_come_through_whole(shared_data):
    """7,473 GSM8K solutions: one pair of dollars stands around a number, nothing is emphasis."""
    import json

    lines = (shared_data / "gsm8k_train.jsonl").read_text().splitlines()
    html = [rationale(json.loads(line)["answer"]) for line in lines]
    assert sum("math" in re.sub(r">[^<]*<", "><", one) for one in html) <= 1
    assert not any("<em>" in one or "<ul>" in one for one in html)
