"""The tree of a template: texts and actions, and within an action pipelines of commands."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DotOperand:
    """The value that the dot stands for."""


@dataclass(frozen=True, slots=True)
class NilOperand:
    """The word `nil`."""


@dataclass(frozen=True, slots=True)
class LiteralOperand:
    """A text, a number or a truth value that the template itself holds."""

    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class FieldOperand:
    """`.a.b`: members of the dot, one in the other."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VariableOperand:
    """`$x.a.b`: a variable, or members of it; `$` is the whole event."""

    name: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FunctionOperand:
    """A function's name."""

    name: str


@dataclass(frozen=True, slots=True)
class ChainOperand:
    """`(…).a.b`: members of what another operand gives."""

    operand: "Operand"
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """An operand with arguments: each command of a pipeline gets what the one before it gives as its last argument."""

    operands: tuple["Operand", ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, and the variables that the last one's value is given to."""

    line: int
    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    assigns: bool = False
    """Whether the variables are there already (`=`), and not new (`:=`)."""


Operand = (
    DotOperand
    | NilOperand
    | LiteralOperand
    | FieldOperand
    | VariableOperand
    | FunctionOperand
    | ChainOperand
    | Pipeline
)


@dataclass(frozen=True, slots=True)
class TextNode:
    """The template's own text."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class ActionNode:
    """A pipeline whose value is written, unless it has variables."""

    line: int
    pipeline: Pipeline
    escaped: bool = False
    """Whether its last command has escaped the value for HTML already."""


@dataclass(frozen=True, slots=True)
class BranchNode:
    """`if` or `with`: the body of the first pipeline that gives something true, else `otherwise`."""

    line: int
    moves_dot: bool
    """Whether the dot is the pipeline's value inside, as in `with`."""
    arms: tuple[tuple[Pipeline, "Body"], ...]
    otherwise: "Body"


@dataclass(frozen=True, slots=True)
class RangeNode:
    """A loop over a list, an object in the order of its keys, or a number; `otherwise` where there is nothing."""

    line: int
    pipeline: Pipeline
    body: "Body"
    otherwise: "Body"


@dataclass(frozen=True, slots=True)
class BreakNode:
    """The end of a loop."""

    line: int


@dataclass(frozen=True, slots=True)
class ContinueNode:
    """The end of a loop's turn."""

    line: int


TemplateNode = TextNode | ActionNode | BranchNode | RangeNode | BreakNode | ContinueNode
Body = tuple[TemplateNode, ...]
