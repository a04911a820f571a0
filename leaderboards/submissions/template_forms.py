"""Which forms of Jinja a stranger's chat template may use, and how they are bounded.

Bounding a template puts filters around the parts that cost something, by which `templates` counts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from lmgym.errors import LmgymError

from .texts import is_unicode

__all__ = ["bounded_tree", "check_tree"]

_MOST_CONSTANT, _MOST_NUMBER = 64, 16
_NODES = {
    "Template", "Output", "TemplateData", "Const", "Name", "NSRef", "Getattr", "Getitem", "Slice",
    "Call", "Keyword", "Filter", "Test", "If", "For", "Assign", "AssignBlock", "Compare",
    "Operand", "And", "Or", "Not", "Neg", "Add", "Sub", "Mod", "Concat", "CondExpr", "List",
    "Tuple", "Break", "Continue", "Scope",
}  # fmt: skip
_FILTERS = {
    "trim", "tojson", "upper", "lower", "capitalize", "title", "length", "count", "default", "d",
    "string", "first", "last", "list", "items", "safe", "int", "select", "reject", "selectattr",
    "rejectattr", "replace", "join", "reverse",
}  # fmt: skip
_METHODS = {
    "strip", "lstrip", "rstrip", "split", "rsplit", "startswith", "endswith", "upper", "lower",
    "title", "capitalize", "replace", "items", "keys", "values", "get",
}  # fmt: skip
_FUNCTIONS = {"raise_exception", "namespace"}
_TESTS = {
    "defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number",
    "integer", "boolean", "true", "false", "equalto", "eq", "ne", "in", "sameas",
}  # fmt: skip

_BY_TEST = {"select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1}
"""Filters that take the name of a test, and its place among their arguments."""
_ANY_ARGUMENTS = ("default", "d", "startswith", "endswith", "get")
_SEARCHING = ("in", "equalto", "eq", "ne")


def check_tree(tree: nodes.Node) -> None:
    """Raise for a form, filter, test, function or method that is not on the lists."""
    for node in tree.find_all(nodes.Node):
        if isinstance(node, nodes.Const | nodes.TemplateData):
            _check_text(node)
        if type(node).__name__ not in _NODES:
            raise _refusal(type(node).__name__)
        _check_node(node)


def _check_text(node: nodes.Const | nodes.TemplateData) -> None:
    value = node.data if isinstance(node, nodes.TemplateData) else node.value
    if isinstance(value, str) and not is_unicode(value):
        raise LmgymError("holds half of a surrogate pair, which is no character")


def _check_node(node: nodes.Node) -> None:
    if isinstance(node, nodes.Name | nodes.Getattr | nodes.NSRef) and _name_of(node)[:1] == "_":
        raise _refusal(f"the name {_name_of(node)}")
    if isinstance(node, nodes.Filter):
        _check_listed(f"the filter {node.name}", node.name, _FILTERS)
        _check_arguments(node, node.name)
    if isinstance(node, nodes.Test):
        _check_listed(f"the test {node.name}", node.name, _TESTS)
    if isinstance(node, nodes.Call):
        _check_call(node)
    if isinstance(node, nodes.For) and node.recursive:
        raise _refusal("a recursive loop")
    if isinstance(node, nodes.List | nodes.Tuple) and getattr(node, "ctx", "load") == "load":
        _check_constants("a list", node.items)


def _name_of(node: nodes.Name | nodes.Getattr | nodes.NSRef) -> str:
    return str(node.name if isinstance(node, nodes.Name) else node.attr)


def _check_listed(what: str, name: str, listed: Collection[str]) -> None:
    if name not in listed:
        raise _refusal(what)


def _check_call(node: nodes.Call) -> None:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise _refusal("a call with * or **")
    if isinstance(node.node, nodes.Name):
        if node.node.name == "strftime_now":
            raise LmgymError("asks for the date; write one in it, so that a rerun reads the same")
        _check_listed(f"the function {node.node.name}", node.node.name, _FUNCTIONS)
    elif isinstance(node.node, nodes.Getattr):
        _check_listed(f"the method {node.node.attr}", node.node.attr, _METHODS)
        _check_arguments(node, node.node.attr)
    else:
        raise _refusal("a call of what is neither a function nor a method")


def _check_arguments(node: nodes.Filter | nodes.Call, name: str) -> None:
    """Raise for arguments that might be as long as a text; tests are told by their names."""
    arguments: list[nodes.Expr] = [*node.args, *(keyword.value for keyword in node.kwargs)]
    if name in _ANY_ARGUMENTS:
        return
    if name in _BY_TEST:
        tests = node.args[_BY_TEST[name] : _BY_TEST[name] + 1]
        for test in tests:
            _check_listed("a test", getattr(test, "value", ""), _TESTS)
        arguments = arguments[: _BY_TEST[name]]
    _check_constants(name, arguments)


def _check_constants(what: str, values: Sequence[nodes.Expr]) -> None:
    for node in values:
        value = node.value if isinstance(node, nodes.Const) else ...
        is_short = isinstance(value, str) and len(value) <= _MOST_CONSTANT
        is_small = value is None or (isinstance(value, int) and 0 <= value <= _MOST_NUMBER)
        if not is_short and not is_small:
            raise _refusal(f"{what} with other values than short texts and small numbers")


def _refusal(what: str) -> LmgymError:
    return LmgymError(f"uses {what}, which chat templates of submissions may not")


def bounded_tree(tree: nodes.Template) -> nodes.Template:
    """The same template, in which whatever costs something is counted."""
    bounded: nodes.Template = _Bounding().visit(tree)
    return bounded


class _Bounding(NodeTransformer):
    """Puts a filter around each part by which a text can grow or a loop can last."""

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802 - jinja's convention
        """What is written is turned into a text before it is paid for."""
        self.generic_visit(node)
        node.nodes = [
            each if isinstance(each, nodes.TemplateData) else _wrapped(each, "shown")
            for each in node.nodes
        ]
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        """A round costs the length of the loop's body."""
        cost = sum(len(each.data) for each in node.find_all(nodes.TemplateData))
        cost += sum(1 for _ in node.find_all(nodes.Node))
        self.generic_visit(node)
        node.iter = _wrapped(node.iter, "counted", nodes.Const(cost))
        return node

    def visit_Add(self, node: nodes.Add) -> nodes.Node:  # noqa: N802
        """Texts and numbers are added, and nothing else."""
        self.generic_visit(node)
        node.left, node.right = _wrapped(node.left, "bounded"), _wrapped(node.right, "bounded")
        return _wrapped(node, "summed")

    def visit_Sub(self, node: nodes.BinExpr) -> nodes.Node:  # noqa: N802
        """Only numbers: a text before % would be a form to fill in."""
        self.generic_visit(node)
        node.left, node.right = _wrapped(node.left, "number"), _wrapped(node.right, "number")
        return node

    def visit_Mod(self, node: nodes.Mod) -> nodes.Node:  # noqa: N802
        """As a difference."""
        return self.visit_Sub(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        """Each text is paid for before they are joined."""
        self.generic_visit(node)
        node.nodes = [_wrapped(each, "shown") for each in node.nodes]
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        """A slice is a copy."""
        self.generic_visit(node)
        return _wrapped(node, "bounded") if isinstance(node.arg, nodes.Slice) else node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802
        """What goes in and what comes out."""
        self.generic_visit(node)
        if node.node is None:  # at the head of a block
            return node
        node.node = _wrapped(node.node, "bounded")
        return _wrapped(node, "bounded")

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        """Methods of texts, as filters."""
        self.generic_visit(node)
        if not isinstance(node.node, nodes.Getattr):
            return node
        node.node.node = _wrapped(node.node.node, "bounded")
        return _wrapped(node, "bounded")

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        """Looking for a text in another one takes as long as both."""
        self.generic_visit(node)
        node.expr = _wrapped(node.expr, "bounded")
        for operand in node.ops:
            operand.expr = _wrapped(operand.expr, "bounded")
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Node:  # noqa: N802
        """The same as a test."""
        self.generic_visit(node)
        if node.name in _SEARCHING:
            node.node = _wrapped(node.node, "bounded")
            node.args = [_wrapped(each, "bounded") for each in node.args]
        return node


def _wrapped(node: Any, name: str, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(arguments), [], None, None, lineno=node.lineno)
