"""What can be told of a tree without an event: its own texts, the event's fields that it refers to, its functions."""

from collections.abc import Collection, Iterator

from kubectl_sew.consumers.go_template.nodes import (
    ActionNode,
    Body,
    BranchNode,
    ChainOperand,
    Command,
    FieldOperand,
    FunctionOperand,
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


def secret_name(node: ActionNode) -> str | None:
    """Return NAME of the action `{{.secret.NAME}}` or `{{$.secret.NAME}}`; None for any other."""
    match node.pipeline:
        case Pipeline(_, (Command((FieldOperand(("secret", name)) | VariableOperand("$", ("secret", name)),)),), ()):
            return name
    return None


def secret_names(body: Body) -> dict[str, int]:
    """Return the secrets that actions stand for where the dot is the event, each with its first line."""
    names: dict[str, int] = {}
    for node in _secrets_in(body, at_root=True):
        names.setdefault(secret_name(node) or "", node.line)
    return names


def other_uses_of_secrets(body: Body) -> list[int]:
    """Return the lines where the word for secrets stands in something else than in an action of its own."""
    alone = {id(node) for node in _secrets_in(body, at_root=True)}
    return [line for name, line in _names_in(body, at_root=True, but=alone) if name == "secret"]


def _secrets_in(body: Body, *, at_root: bool) -> Iterator[ActionNode]:
    for node in body:
        match node:
            case ActionNode(_, pipeline) if secret_name(node) is not None:
                if at_root or isinstance(pipeline.commands[0].operands[0], VariableOperand):
                    yield node
            case BranchNode(_, moves_dot, arms, otherwise):
                for _, inner in arms:
                    yield from _secrets_in(inner, at_root=at_root and not moves_dot)
                yield from _secrets_in(otherwise, at_root=at_root)
            case RangeNode(_, _, inner, otherwise):
                yield from _secrets_in(inner, at_root=False)
                yield from _secrets_in(otherwise, at_root=at_root)


def root_names(body: Body) -> dict[str, int]:
    """Return the event's fields that are referred to, each with its first line."""
    names: dict[str, int] = {}
    for name, line in _names_in(body, at_root=True):
        names.setdefault(name, line)
    return names


def _names_in(body: Body, *, at_root: bool, but: Collection[int] = frozenset()) -> Iterator[tuple[str, int]]:
    """`at_root`: whether the dot is the event there; `but`: identities of nodes that are left out."""
    for node in body:
        if id(node) not in but:
            yield from _names_of(node, at_root=at_root, but=but)


def _names_of(node: TemplateNode, *, at_root: bool, but: Collection[int]) -> Iterator[tuple[str, int]]:
    match node:
        case ActionNode(_, pipeline):
            yield from _in_pipeline(pipeline, at_root=at_root)
        case BranchNode(_, moves_dot, arms, otherwise):
            for pipeline, inner in arms:
                yield from _in_pipeline(pipeline, at_root=at_root)
                yield from _names_in(inner, at_root=at_root and not moves_dot, but=but)
            yield from _names_in(otherwise, at_root=at_root, but=but)
        case RangeNode(_, pipeline, inner, otherwise):
            yield from _in_pipeline(pipeline, at_root=at_root)
            yield from _names_in(inner, at_root=False, but=but)
            yield from _names_in(otherwise, at_root=at_root, but=but)


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


def function_names(body: Body) -> Iterator[str]:
    """Yield the name of each function that is called."""
    for node in body:
        match node:
            case ActionNode(_, pipeline):
                yield from _called_in(pipeline)
            case BranchNode(_, _, arms, otherwise):
                for pipeline, inner in arms:
                    yield from _called_in(pipeline)
                    yield from function_names(inner)
                yield from function_names(otherwise)
            case RangeNode(_, pipeline, inner, otherwise):
                yield from _called_in(pipeline)
                yield from function_names((*inner, *otherwise))


def _called_in(operand: Operand) -> Iterator[str]:
    match operand:
        case FunctionOperand(name):
            yield name
        case ChainOperand(inner, _):
            yield from _called_in(inner)
        case Pipeline(_, commands):
            for command in commands:
                for inner in command.operands:
                    yield from _called_in(inner)
