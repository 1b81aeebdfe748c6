"""What can be told of a tree without an event: its own texts, and the event's fields that it refers to."""

from collections.abc import Iterator

from kubectl_sew.consumers.go_template.nodes import (
    ActionNode,
    Body,
    BranchNode,
    ChainOperand,
    FieldOperand,
    Operand,
    Pipeline,
    RangeNode,
    TemplateNode,
    TextNode,
    VariableOperand,
)


def own_texts(body: Body) -> Iterator[str]:
    """Yield the template's own texts in their order."""
    for node in body:
        match node:
            case TextNode(_, text):
                yield text
            case BranchNode(_, _, arms, otherwise):
                for _, inner in arms:
                    yield from own_texts(inner)
                yield from own_texts(otherwise)
            case RangeNode(_, _, inner, otherwise):
                yield from own_texts(inner)
                yield from own_texts(otherwise)


def root_names(body: Body) -> dict[str, int]:
    """Return the event's fields that are referred to, each with its first line."""
    names: dict[str, int] = {}
    for name, line in _names_in(body, at_root=True):
        names.setdefault(name, line)
    return names


def _names_in(body: Body, *, at_root: bool) -> Iterator[tuple[str, int]]:
    """`at_root`: whether the dot is the event there."""
    for node in body:
        yield from _names_of(node, at_root=at_root)


def _names_of(node: TemplateNode, *, at_root: bool) -> Iterator[tuple[str, int]]:
    match node:
        case ActionNode(_, pipeline):
            yield from _in_pipeline(pipeline, at_root=at_root)
        case BranchNode(_, moves_dot, arms, otherwise):
            for pipeline, inner in arms:
                yield from _in_pipeline(pipeline, at_root=at_root)
                yield from _names_in(inner, at_root=at_root and not moves_dot)
            yield from _names_in(otherwise, at_root=at_root)
        case RangeNode(_, pipeline, inner, otherwise):
            yield from _in_pipeline(pipeline, at_root=at_root)
            yield from _names_in(inner, at_root=False)
            yield from _names_in(otherwise, at_root=at_root)


def _in_pipeline(pipeline: Pipeline, *, at_root: bool) -> Iterator[tuple[str, int]]:
    for command in pipeline.commands:
        for operand in command.operands:
            yield from ((name, pipeline.line) for name in _in_operand(operand, at_root=at_root))


def _in_operand(operand: Operand, *, at_root: bool) -> Iterator[str]:
    match operand:
        case FieldOperand(names) if at_root:
            yield names[0]
        case VariableOperand("$", names) if names:
            yield names[0]
        case ChainOperand(inner, _):
            yield from _in_operand(inner, at_root=at_root)
        case Pipeline():
            yield from (name for name, _ in _in_pipeline(operand, at_root=at_root))
