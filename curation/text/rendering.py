"""What models and people wrote → HTML that is safe to show and keeps the mathematics.

Markdown is read by markdown-it with raw HTML switched off, then the result passes nh3, so that a
tag reaches the page only if this module made it. Mathematics is not set here: it is marked, as
`<span class="math">` with its TeX as text, and static/js/math.js sets it with KaTeX; without
JavaScript the TeX stays readable.

A rationale is arithmetic first and Markdown second. So `2*3*4` is a product, not an emphasis,
`$5 and $10` are prices, not a formula, a line that begins with `+ 5` is no list, and every line
break of the writer stays. GSM8K's calculator marks (`<<48/2=24>>`) are stored and not shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, list_block
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter
from markdown_it.token import Token

# Longer texts are shown plain: a page must not wait for one of them.
LONGEST = 20_000
LONGEST_FORMULA = 4_000

CALCULATOR_MARK = re.compile(r"<<[^<>\n=]{0,200}=[^<>\n]{0,200}>>")
# What XML and PostgreSQL do not take, and marks that turn the direction of the text around.
UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")

TAGS = {
    *("p", "br", "hr", "strong", "em", "code", "pre", "blockquote", "a", "span", "div"),
    *("ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
CLASSES = {"span": {"math", "display"}, "div": {"math", "display"}, "p": {"said-heading"}}
SCHEMES = {"http", "https", "mailto"}


def rationale(text: str) -> SafeString:
    """A thought, a question, an answer: as written, line by line."""
    return _html(text, True)


def markdown(text: str) -> SafeString:
    """Guidelines: Markdown as its writers know it, where a line break is only a space."""
    return _html(text, False)


def without_marks(text: str) -> str:
    """The text as it is to be read: no calculator marks, nothing unseen."""
    return CALCULATOR_MARK.sub("", UNSEEN.sub("", text.replace("\r\n", "\n")))


@lru_cache(maxsize=2048)
def _html(text: str, keep_lines: bool) -> SafeString:
    if len(text) > LONGEST:
        return _plain(text)
    reader = LINES if keep_lines else PROSE
    html = reader.render(without_marks(text))
    return mark_safe(
        nh3.clean(
            html,
            tags=TAGS,
            attributes=ATTRIBUTES,
            allowed_classes=CLASSES,
            url_schemes=SCHEMES,
            url_relative="deny",
            link_rel="noopener nofollow noreferrer",
        ).strip()
    )


def _plain(text: str) -> SafeString:
    return mark_safe("<p>" + escape(without_marks(text)).replace("\n", "<br>") + "</p>")


# ---- mathematics: \( \), \[ \], $ $, $$ $$, \begin{align} and a bare \boxed{ } ----

# A formula between single dollars; a price is not one.
PLAIN_NUMBER = re.compile(r"-?[\d.,]*\d%?")
TEX = re.compile(r"[\\^_{]")
WORD = re.compile(r"[A-Za-z]{3,}")
ENVIRONMENT = re.compile(r"\\begin\{((?:align|equation|gather|cases|[bpvBV]?matrix)\*?)\}")


def is_formula(tex: str) -> bool:
    """Whether what stands between two dollar signs is mathematics rather than two prices."""
    if not tex or tex[0].isspace() or tex[-1].isspace() or len(tex) > LONGEST_FORMULA:
        return False
    if PLAIN_NUMBER.fullmatch(tex) or TEX.search(tex):
        return True
    return not WORD.search(tex) and (tex[-1].isalnum() or tex[-1] in ")]'!|")


def _between(text: str, at: int, opening: str, closing: str) -> str | None:
    """What stands between the two marks from here on, if both are there."""
    if not text.startswith(opening, at):
        return None
    start = at + len(opening)
    end = text.find(closing, start, start + LONGEST_FORMULA)
    return text[start:end] if end > start else None


def _dollars(text: str, at: int) -> str | None:
    tex = _between(text, at, "$", "$")
    if tex is None or not is_formula(tex):
        return None
    end = at + len(tex) + 2
    before, after = text[at - 1 : at], text[end : end + 1]
    return None if before.isalnum() or after.isalnum() else tex


def _boxed(text: str, at: int) -> str | None:
    """`\\boxed{…}` outside any formula, as reasoning models end their answers."""
    if not text.startswith("\\boxed{", at):
        return None
    depth = 0
    for end in range(at + 6, min(at + 400, len(text))):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[at : end + 1]
    return None


# Opening mark, closing mark, whether the formula stands on a line of its own.
MARKS = [("$$", "$$", True), ("\\[", "\\]", True), ("\\(", "\\)", False)]


def formula_at(text: str, at: int) -> tuple[str, int, bool] | None:
    """The TeX of the formula that begins here, how long it is with its marks, and if it is set
    on a line of its own."""
    if text[at] not in "\\$":
        return None
    for opening, closing, display in MARKS:
        if (tex := _between(text, at, opening, closing)) is not None:
            return tex, len(opening) + len(tex) + len(closing), display
    if (tex := _dollars(text, at)) is not None:
        return tex, len(tex) + 2, False
    if (tex := _boxed(text, at)) is not None:
        return tex, len(tex), False
    return None


def formula(tex: str, display: bool) -> SafeString:
    """A formula as the page's script finds it."""
    kind = "math display" if display else "math"
    return mark_safe(f'<span class="{kind}">{escape(tex.strip())}</span>')


def _formula(state: StateInline, silent: bool) -> bool:
    """The inline rule."""
    found = formula_at(state.src[: state.posMax], state.pos)
    if found is None:
        return False
    tex, length, display = found
    if not silent:
        state.push("math_display" if display else "math_inline", "", 0).content = tex.strip()
    state.pos += length
    return True


def _closing_of(line: str) -> tuple[str, str] | None:
    """For a line that begins a formula of its own: its opening and its closing mark."""
    if found := ENVIRONMENT.match(line):
        return "", f"\\end{{{found[1]}}}"
    return next(((o, c) for o, c in (("$$", "$$"), ("\\[", "\\]")) if line.startswith(o)), None)


def _formula_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The block rule: a formula over several lines is no list, whatever its lines begin with."""
    if state.is_code_block(start):
        return False
    marks = _closing_of(state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]])
    if marks is None:
        return False
    opening, closing = marks
    at = state.bMarks[start] + len(opening)
    if state.src.find(closing, at, at + LONGEST_FORMULA) < 0:
        return False
    inside = ""
    for line in range(start, min(end, start + 100)):
        inside += state.getLines(line, line + 1, state.blkIndent, True).lstrip("\n")
        at = inside.find(closing, len(opening))
        if at < 0:
            continue
        if inside[at + len(closing) :].strip() or len(inside) > LONGEST_FORMULA:
            return False
        if not silent:
            tex = inside.strip()[len(opening) :] if opening else inside.strip()
            token = state.push("math_display", "", 0)
            token.block = True
            token.content = tex[: len(tex) - len(closing)].strip() if opening else tex
            state.line = line + 1
        return True
    return False


# ---- arithmetic is not markup ----


def _emphasis(state: StateInline, silent: bool) -> bool:
    """As in Markdown, but a star between two factors multiplies them."""
    marker = state.src[state.pos]
    if silent or marker not in "*_":
        return False
    found = state.scanDelims(state.pos, marker == "*")
    end = state.pos + found.length
    before = state.src[state.pos - 1] if state.pos else " "
    after = state.src[end] if end < state.posMax else " "
    factor_before = before.isascii() and (before.isalnum() or before in ")]}")
    factor_after = after.isascii() and (after.isalnum() or after in "([{$\\")
    alone = not state.src[end + 1 : end + 2].isalnum()  # `10 *p`: a letter, not a word
    one_star_before_a_factor = found.length == 1 and (after.isdigit() or after in "$.(" or alone)
    for _ in range(found.length):
        state.push("text", "", 0).content = marker
        delimiter = Delimiter(
            marker=ord(marker),
            length=found.length,
            token=len(state.tokens) - 1,
            end=-1,
            open=found.can_open and not factor_before and not one_star_before_a_factor,
            close=found.can_close and not factor_after,
        )
        state.delimiters.append(delimiter)
    state.pos = end
    return True


def _list(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Lists begin with `-`, `*` or a number; a line that begins with `+` is a sum."""
    at = state.bMarks[start] + state.tShift[start]
    return state.src[at : at + 1] != "+" and list_block(state, start, end, silent)


# What a block of ours may interrupt.
INTERRUPTS = ["paragraph", "reference", "blockquote", "list"]


def _reader(keep_lines: bool) -> MarkdownIt:
    md = MarkdownIt("commonmark", {"html": False, "breaks": keep_lines, "maxNesting": 12})
    md.enable("table").disable(
        ["code", "html_block", "html_inline", "image", "lheading", "reference", "autolink"]
    )
    md.inline.ruler.before("escape", "formula", _formula)
    md.inline.ruler.at("emphasis", _emphasis)
    md.block.ruler.at("list", _list, {"alt": INTERRUPTS[:3]})
    md.block.ruler.before("fence", "formula", _formula_block, {"alt": INTERRUPTS})
    for token, html in WRITTEN.items():
        md.add_render_rule(token, html)
    return md


def _inline(_: object, tokens: Sequence[Token], at: int, *rest: object) -> str:
    return formula(tokens[at].content, display=False)


def _display(_: object, tokens: Sequence[Token], at: int, *rest: object) -> str:
    return formula(tokens[at].content, display=True)


# The headings of the page are ours; those of a text are only strong lines.
WRITTEN: dict[str, Callable[..., str]] = {
    "math_inline": _inline,
    "math_display": _display,
    "heading_open": lambda *_: '<p class="said-heading"><strong>',
    "heading_close": lambda *_: "</strong></p>\n",
}


LINES = _reader(keep_lines=True)
PROSE = _reader(keep_lines=False)
