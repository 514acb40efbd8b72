"""Build edits: LibCST changes the slice of source that an expression covers, and only the characters that differ
become an :class:`~pyro_fix.transform.Edit`, so that everything else stays as it was and edits compose."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.values import LARGEST_NUMBER
from pyro_fix.rewrite import alike
from pyro_fix.sources import Source
from pyro_fix.transform import Edit

if TYPE_CHECKING:  # libcst takes 0.4 s to import: only a run that rewrites something pays for it
    import libcst


def span(source: Source, node: ast.expr | ast.stmt) -> tuple[int, int]:
    """The characters that ``node`` covers."""
    assert node.end_lineno is not None and node.end_col_offset is not None
    return source.offset(node.lineno, node.col_offset), source.offset(node.end_lineno, node.end_col_offset)


def text_of(module: Module, node: ast.expr) -> str:
    """The source of ``node``."""
    start, end = span(module.source, node)
    return module.source.text[start:end]


def comments_of(module: Module, node: ast.expr) -> dict[int, str]:
    """The comments within an expression, by their lines."""
    start, end = span(module.source, node)
    first = iter(io.StringIO(f"({module.source.text[start:end]})", newline="").readline, "")
    tokens = tokenize.generate_tokens(lambda: next(first, ""))
    return {node.lineno - 1 + t.start[0]: t.string for t in tokens if t.type == tokenize.COMMENT}


def literal_number(node: ast.expr | None) -> float | None:
    """The number that an expression literally is; ``None`` where it is larger than any that means something."""
    value = node.value if isinstance(node, ast.Constant) else None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or abs(value) > LARGEST_NUMBER:
        return None
    return float(value)


def replace(module: Module, node: ast.expr, text: str) -> Edit:
    """Put ``text`` in the place of an expression."""
    start, end = span(module.source, node)
    return _splice(module.source, start, end, text)


def wrap(module: Module, node: ast.expr, before: str, after: str) -> tuple[Edit, Edit]:
    """Put text around an expression; what is inside can be edited by others at the same time."""
    start, end = span(module.source, node)
    return Edit(module.path, start, start, before), Edit(module.path, end, end, after)


def rename(module: Module, callee: ast.expr, name: str) -> Edit:
    """Change the last part of a dotted name."""
    start, end = span(module.source, callee)
    old = callee.attr if isinstance(callee, ast.Attribute) else module.source.text[start:end]
    return Edit(module.path, end - len(old), end, name)


def replace_alias(module: Module, alias: ast.alias, name: str) -> Edit:
    """Import ``name`` in the place of another name of the same package, whatever that is called here."""
    return Edit(module.path, *_alias_span(module, alias), name)


def remove_alias(module: Module, statement: ast.ImportFrom, alias: ast.alias) -> Edit | None:
    """Import one name less; ``None`` where a comment may be about it, or the layout is not plain."""
    source, lines = module.source, module.source.lines
    last = statement.end_lineno or statement.lineno
    rows = lines[statement.lineno - 1 : last]
    if any(mark in row for row in rows for mark in "#;\\") or statement not in module.tree.body:
        return None
    if len(statement.names) == 1:
        # no blank line goes with it: another fix may put an import there
        return Edit(source.path, source.offset(statement.lineno, 0), source.offset(last, 0) + len(rows[-1]), "")
    at = statement.names.index(alias)
    start, end = _alias_span(module, alias)
    row = lines[alias.lineno - 1]
    if len(rows) > 1:
        name = source.text[start:end]
        first = source.offset(alias.lineno, 0)
        return Edit(source.path, first, first + len(row), "") if row.strip() in (name, f"{name},") else None
    if at + 1 < len(statement.names):
        end = _alias_span(module, statement.names[at + 1])[0]
    else:
        start = _alias_span(module, statement.names[at - 1])[1]
    return Edit(source.path, start, end, "")


def _alias_span(module: Module, alias: ast.alias) -> tuple[int, int]:
    assert alias.end_lineno is not None and alias.end_col_offset is not None
    source = module.source
    return source.offset(alias.lineno, alias.col_offset), source.offset(alias.end_lineno, alias.end_col_offset)


def add_keyword(module: Module, call: ast.Call, name: str, value: str) -> Edit:
    """Add ``name=value`` as the last argument of a call, in the call's own style."""
    return add_keywords(module, call, {name: value})


def add_keywords(module: Module, call: ast.Call, values: Mapping[str, str]) -> Edit:
    """Add several ``name=value`` as the last arguments of a call, in the call's own style."""
    import libcst

    def add(node: libcst.Call, name: str, value: str) -> libcst.Call:
        equal = libcst.AssignEqual(libcst.SimpleWhitespace(""), libcst.SimpleWhitespace(""))
        added = libcst.Arg(libcst.parse_expression(value), keyword=libcst.Name(name), equal=equal)
        args = list(node.args)
        # ``**options`` may follow keywords only, and is written last
        index = next((i for i, arg in enumerate(args) if arg.star == "**"), len(args))
        if index < len(args):
            return node.with_changes(args=[*args[:index], added.with_changes(comma=_comma()), *args[index:]])
        return node.with_changes(args=_appended_argument(args, added, node.whitespace_before_args))

    return _change(module.source, call, lambda node: reduce(lambda n, item: add(n, *item), values.items(), node))


def remove_keyword(module: Module, call: ast.Call, *names: str) -> Edit:
    """Remove the arguments ``name=…`` of a call."""
    import libcst

    def change(node: libcst.Call) -> libcst.Call:
        left = _without(node.args, lambda a: a.keyword and a.keyword.value in names)
        if not left:  # the brackets close up
            return node.with_changes(args=[], whitespace_before_args=libcst.SimpleWhitespace(""))
        return node.with_changes(args=left)

    return _change(module.source, call, change)


def add_entry(module: Module, literal: ast.Dict, key: str, value: str) -> Edit:
    """Add ``"key": value`` as the last entry of a dict literal, in its own style."""
    return add_entries(module, literal, {key: value})


def add_entries(module: Module, literal: ast.Dict, values: Mapping[str, str]) -> Edit:
    """Add several ``"key": value`` as the last entries of a dict literal, in its own style."""
    import libcst

    quote = "'" if "'" in text_of(module, literal) and '"' not in text_of(module, literal) else '"'

    def add(node: libcst.Dict, key: str, value: str) -> libcst.Dict:
        added = libcst.DictElement(libcst.SimpleString(f"{quote}{key}{quote}"), libcst.parse_expression(value))
        opening, closing = node.lbrace.whitespace_after, node.rbrace.whitespace_before
        elements, closing = _appended(list(node.elements), added, opening, closing)
        return node.with_changes(elements=elements, rbrace=node.rbrace.with_changes(whitespace_before=closing))

    return _change(module.source, literal, lambda node: reduce(lambda n, item: add(n, *item), values.items(), node))


def add_option(module: Module, node: ast.Dict | ast.Call, key: str, value: str) -> Edit:
    """Add an entry to a dict literal or to a ``dict(...)`` call."""
    return add_options(module, node, {key: value})


def add_options(module: Module, node: ast.Dict | ast.Call, values: Mapping[str, str]) -> Edit:
    """Add several entries to a dict literal or to a ``dict(...)`` call."""
    if isinstance(node, ast.Dict):
        return add_entries(module, node, values)
    return add_keywords(module, node, values)


def remove_statement(module: Module, node: ast.expr) -> Edit | None:
    """Remove the statement that consists of the expression ``node``; ``None`` where it shares a line with another one.

    A comment behind it stays, on a line of its own; of the blank lines around it as many stay as the larger gap had;
    a block that would be empty becomes ``pass``.
    """
    statement = module.parents.get(node)
    if not isinstance(statement, ast.Expr):
        return None
    body = next(b for b in _bodies(module.parents[statement]) if statement in b)
    source, lines = module.source, module.source.lines
    first, last = statement.lineno, statement.end_lineno or statement.lineno
    start, end = span(source, statement)
    before = lines[first - 1][: start - source.offset(first, 0)]
    behind = lines[last - 1][end - source.offset(last, 0) :]
    if before.strip() or (behind.strip() and not behind.lstrip().startswith("#")):
        return None
    if len(body) == 1 and body is not module.tree.body:
        return Edit(source.path, start, end, "pass")
    if behind.strip():
        return Edit(source.path, start, end + len(behind) - len(behind.lstrip()), "")
    above, below = _blank(lines[: first - 1][::-1]), _blank(lines[last:])
    if first - 1 - above == 0 or statement is body[0]:  # nothing to keep a distance from
        first, last = first - above * (first - 1 - above == 0), last + below
    elif last + below == len(lines):
        first, last = first - above, last + below
    else:
        last += min(above, below)
    stop = source.offset(last, 0) + len(lines[last - 1])
    return Edit(source.path, source.offset(first, 0), stop, "")


def insert_before(module: Module, statement: ast.stmt, text: str) -> Edit:
    """Put a statement of one line before another one that begins a line, at the same indentation."""
    source = module.source
    start = source.offset(statement.lineno, 0)
    margin = source.text[start : source.offset(statement.lineno, statement.col_offset)]
    return Edit(source.path, start, start, f"{margin}{text}{source.newline}")


def wrap_statements(module: Module, statements: Sequence[ast.stmt], header: str, indent: str) -> Edit | None:
    """Put neighbouring statements of one block under ``header``, a compound statement's first line.

    ``None`` where a line is shared with something else, or where indentation would change a text.
    """
    source, lines = module.source, module.source.lines
    first, last = statements[0].lineno, statements[-1].end_lineno or statements[-1].lineno
    start, end = source.offset(first, 0), source.offset(last, 0) + len(lines[last - 1])
    margin = source.text[start : span(source, statements[0])[0]]
    behind = source.text[span(source, statements[-1])[1] : end].strip()
    if margin.strip() or (behind and not behind.startswith("#")) or any(map(_spans_text, statements)):
        return None
    moved = [indent + line if line.strip() else line for line in lines[first - 1 : last]]
    return Edit(source.path, start, end, f"{margin}{header}{source.newline}{''.join(moved)}")


def add_parameter(module: Module, function: ast.FunctionDef, name: str, default: str) -> Edit | None:
    """Give a function one more parameter with a default; ``None`` where none can be given by keyword."""
    source, spec = module.source, function.args
    if spec.posonlyargs and not (spec.args or spec.vararg or spec.kwonlyargs):
        return None
    tokens = _tokens(source, function.lineno, function.body[0].end_lineno or function.body[0].lineno)
    before, at = "", 0
    depth = stars = 0
    for text, start, end in tokens:
        if depth == 0 and text == "[":  # type parameters
            return None
        if depth == 1 and text == "**" and before in (",", "("):
            stars = start
        depth += (text in _OPENING) - (text in _CLOSING)
        if depth == 0 and text == ")":
            break
        before, at = text, end
    else:
        return None
    added = f"{name}={default}"
    if spec.kwarg is not None:
        return Edit(source.path, stars, stars, f"{added}, ")
    if before == ",":
        margin, line = _own_line(source, function), source.line_of(at - 1)
        if margin is None or source.line_of(start) == line:
            return Edit(source.path, at - 1, at - 1, f", {added}")
        stop = source.offset(line, 0) + len(source.lines[line - 1].rstrip("\r\n"))
        return Edit(source.path, stop, stop, f"{source.newline}{margin}{added},")
    return Edit(source.path, at, at, added if before == "(" else f", {added}")


def _own_line(source: Source, function: ast.FunctionDef) -> str | None:
    """The margin of a function's last parameter, where that has a line of its own."""
    spec = function.args
    last = [*spec.posonlyargs, *spec.args, *([spec.vararg] if spec.vararg else []), *spec.kwonlyargs][-1]
    line = source.lines[last.lineno - 1]
    margin = line[: len(line) - len(line.lstrip())]
    return (
        margin if source.offset(last.lineno, last.col_offset) == source.offset(last.lineno, 0) + len(margin) else None
    )


_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


def _tokens(source: Source, first: int, last: int) -> Iterator[tuple[str, int, int]]:
    """The tokens of some lines, but for comments and newlines, with the characters that they cover."""
    lines = iter(source.lines[first - 1 : last])
    try:
        for token in tokenize.generate_tokens(lambda: next(lines, "")):
            if token.string.strip() and token.type != tokenize.COMMENT:
                start, end = (source.offset(first - 1 + line, 0) + column for line, column in (token.start, token.end))
                yield token.string, start, end
    except (tokenize.TokenError, IndentationError):  # the lines end in the middle of something
        return


def _bodies(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        body = getattr(node, name, None)
        if isinstance(body, list) and body:
            yield body


def _blank(lines: Sequence[str]) -> int:
    """How many lines are blank before the first that is not."""
    return next((count for count, line in enumerate(lines) if line.strip()), len(lines))


def _spans_text(statement: ast.stmt) -> bool:
    """Whether a text in it covers several lines."""
    return any(
        isinstance(node, (ast.Constant, ast.JoinedStr)) and node.end_lineno != node.lineno
        for node in ast.walk(statement)
    )


def _change(source: Source, node: ast.expr, change: Any) -> Edit:
    import libcst

    start, end = span(source, node)
    parsed = libcst.parse_expression(source.text[start:end])
    changed = libcst.Module([], default_newline=source.newline).code_for_node(change(parsed))
    return _splice(source, start, end, changed)


def _splice(source: Source, start: int, end: int, new: str) -> Edit:
    """The smallest edit that turns ``text[start:end]`` into ``new``."""
    head, tail = alike(source.text[start:end], new)
    return Edit(source.path, start + head, end - tail, new[head : len(new) - tail])


def _comma() -> libcst.Comma:
    import libcst

    return libcst.Comma(whitespace_after=libcst.SimpleWhitespace(" "))


def _appended_argument(args: list[libcst.Arg], added: libcst.Arg, opening: Any) -> list[libcst.Arg]:
    """Like :func:`_appended`; of a call, the last argument itself holds the white space in front of the bracket."""
    import libcst

    if not args:
        return [added]
    last = args[-1]
    if isinstance(last.comma, libcst.Comma):
        closing: Any = last.comma.whitespace_after
    else:
        closing = last.whitespace_after_arg
        args = [*args[:-1], last.with_changes(whitespace_after_arg=libcst.SimpleWhitespace(""))]
    appended, closing = _appended(args, added, opening, closing)
    added = appended[-1]
    if isinstance(added.comma, libcst.Comma):
        added = added.with_changes(comma=added.comma.with_changes(whitespace_after=closing))
    else:
        added = added.with_changes(whitespace_after_arg=closing)
    return [*appended[:-1], added]


def _appended(elements: list[Any], added: Any, opening: Any, closing: Any) -> tuple[list[Any], Any]:
    """``elements`` and ``added``, separated the way the others are, and the white space to close with.

    ``opening`` is the white space after the opening bracket: what a lone element is indented by; ``closing`` is that in
    front of the closing one.  A trailing comma stays one, and a comment behind the last element stays behind it.
    """
    import libcst

    if not elements:
        return [added], closing
    last = elements[-1]
    style = elements[-2].comma.whitespace_after if len(elements) > 1 else opening
    if isinstance(style, libcst.ParenthesizedWhitespace):
        separator: Any = style.with_changes(first_line=libcst.TrailingWhitespace(), empty_lines=[])
        if isinstance(closing, libcst.ParenthesizedWhitespace):
            separator = separator.with_changes(first_line=closing.first_line)
            closing = closing.with_changes(first_line=libcst.TrailingWhitespace())
    else:
        separator = style if style.value else libcst.SimpleWhitespace(" ")
    if isinstance(last.comma, libcst.Comma):
        added = added.with_changes(comma=libcst.Comma())
    last = last.with_changes(comma=libcst.Comma(whitespace_after=separator))
    return [*elements[:-1], last, added], closing


def _without(elements: Sequence[Any], unwanted: Any) -> list[Any]:
    """``elements`` without some; the last that stays is followed by what followed the last, and by its own comment."""
    import libcst

    kept = [element for element in elements if not unwanted(element)]
    if kept and unwanted(elements[-1]):
        last, gone = kept[-1], elements[-1]
        space = last.comma.whitespace_after
        last = last.with_changes(comma=gone.comma)
        if isinstance(gone, libcst.Arg):
            last = last.with_changes(whitespace_after_arg=gone.whitespace_after_arg)
        if isinstance(gone.comma, libcst.Comma):
            after = _commented(gone.comma.whitespace_after, space)
            last = last.with_changes(comma=gone.comma.with_changes(whitespace_after=after))
        elif isinstance(gone, libcst.Arg):
            last = last.with_changes(whitespace_after_arg=_commented(gone.whitespace_after_arg, space))
        kept[-1] = last
    return kept


def _commented(closing: Any, space: Any) -> Any:
    """The white space in front of a closing bracket, with the comment that ``space`` begins with before its own."""
    import libcst

    comment = space.first_line.comment if isinstance(space, libcst.ParenthesizedWhitespace) else None
    if comment is None:
        return closing
    if not isinstance(closing, libcst.ParenthesizedWhitespace):
        return space.with_changes(empty_lines=[])
    if closing.first_line.comment is not None:
        comment = comment.with_changes(value=f"{comment.value}  {closing.first_line.comment.value}")
    return closing.with_changes(first_line=space.first_line.with_changes(comment=comment))
