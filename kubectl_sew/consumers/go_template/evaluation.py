"""A tree and an event become text, by the rules of Go's text/template. All work is charged to the budget."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from kubectl_sew.consumers.go_template.escapers import EVAL_ARGS
from kubectl_sew.consumers.go_template.formatting import show, show_all
from kubectl_sew.consumers.go_template.functions import FUNCTIONS
from kubectl_sew.consumers.go_template.nodes import (
    ActionNode,
    Body,
    BranchNode,
    BreakNode,
    ChainOperand,
    Command,
    DotOperand,
    FieldOperand,
    FunctionOperand,
    LiteralOperand,
    NilOperand,
    Operand,
    Pipeline,
    RangeNode,
    TemplateNode,
    TextNode,
    VariableOperand,
)
from kubectl_sew.consumers.go_template.survey import secret_name
from kubectl_sew.consumers.go_template.values import (
    MISSING,
    GoValueError,
    Missing,
    PrintedText,
    go_value,
    is_true,
    member,
    type_name,
)
from kubectl_sew.consumers.template_budget import Budget
from kubectl_sew.consumers.template_functions import to_json
from kubectl_sew.consumers.template_output import (
    BesideEvent,
    ConstantText,
    JsonText,
    Output,
    ScriptText,
    is_json_scalar,
)


class GoExecutionError(Exception):
    """The template cannot be rendered for this event; `line` of the action, and why, without any value."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")


class _BreakLoop(Exception):  # noqa: N818 - it leaves a loop, and is no error
    """`break` was reached."""


class _ContinueLoop(Exception):  # noqa: N818 - as above
    """`continue` was reached."""


def execute(body: Body, document: Mapping[str, Any], output: Output, budget: Budget, beside: BesideEvent) -> None:
    """Write a template for an event. Raises GoExecutionError, RenderError and SpentError.

    Only an action such as `{{.secret.NAME}}` can reach what is secret.
    """
    _Execution(document, output, budget, beside).run(body)


class _Execution:
    """One rendering: its variables, and the line it is at."""

    def __init__(self, document: Mapping[str, Any], output: Output, budget: Budget, beside: BesideEvent) -> None:
        self._document = document
        self._secrets = beside.secrets
        self._beside = beside.names
        self._output = output
        self._budget = budget
        self._variables: list[tuple[str, Any]] = [("$", document)]
        self._line = 1

    def run(self, body: Body) -> None:
        try:
            self._walk(self._document, body)
        except GoValueError as error:
            raise GoExecutionError(self._line, str(error)) from None

    def _walk(self, dot: Any, body: Body) -> None:
        for node in body:
            self._budget.spend(1)
            self._line = node.line
            self._visit(dot, node)

    def _visit(self, dot: Any, node: TemplateNode) -> None:
        match node:
            case TextNode():
                self._output.text(node.text)
            case ActionNode() if (
                self._secrets
                and (name := secret_name(node)) in self._secrets
                and (dot is self._document or isinstance(node.pipeline.commands[0].operands[0], VariableOperand))
            ):
                self._write(node, self._secrets[name or ""])
            case ActionNode():
                value = self._pipeline(dot, node.pipeline)
                if not node.pipeline.variables:
                    self._write(node, value)
            case BranchNode():
                self._branch(dot, node)
            case RangeNode():
                self._range(dot, node)
            case BreakNode():
                raise _BreakLoop
            case _:
                raise _ContinueLoop

    def _write(self, node: ActionNode, value: Any) -> None:
        value = None if value is MISSING else value
        if node.escaped:
            self._output.escaped(str(value))
        elif isinstance(value, ConstantText):
            self._output.constant(str(value))
        elif isinstance(value, ScriptText):
            self._output.script(value)
        else:
            self._output.value(lambda: self._shown(value), lambda: self._as_json(value))

    def _shown(self, value: Any) -> str:
        return "" if value is None else show(value, self._budget)

    def _as_json(self, value: Any) -> str:
        if isinstance(value, JsonText):
            return str(value)
        if isinstance(value, PrintedText) and is_json_scalar(value.strip()):
            return value.strip()
        return to_json(value, self._budget)

    # Control

    def _branch(self, dot: Any, node: BranchNode) -> None:
        known = len(self._variables)
        for pipeline, body in node.arms:
            value = self._pipeline(dot, pipeline)
            if is_true(value):
                self._walk(value if node.moves_dot else dot, body)
                break
        else:
            self._walk(dot, node.otherwise)
        del self._variables[known:]

    def _range(self, dot: Any, node: RangeNode) -> None:
        known = len(self._variables)
        value = self._pipeline(dot, node.pipeline)
        inside = len(self._variables)
        turns = 0
        try:
            for index, element in self._turns(value, node.pipeline):
                turns += 1
                self._budget.spend(1)
                self._set_loop_variables(node.pipeline, index, element)
                with suppress(_ContinueLoop):
                    self._walk(element, node.body)
                del self._variables[inside:]
            if not turns:
                self._walk(dot, node.otherwise)
        except _BreakLoop:
            pass
        del self._variables[known:]

    def _turns(self, value: Any, pipeline: Pipeline) -> Iterator[tuple[Any, Any]]:
        """Yield index and element of each turn, as Go does: the index of a number's turn is nothing."""
        match value:
            case Missing():
                return
            case list():
                yield from ((index, go_value(raw)) for index, raw in enumerate(value))
            case Mapping():
                self._budget.spend(len(value))
                yield from ((go_value(key), go_value(value[key])) for key in sorted(value))
            case int() if not isinstance(value, bool) and len(pipeline.variables) < 2:
                yield from ((MISSING, type(value)(number)) for number in range(value))
            case _:
                raise GoValueError(f"`range` over a {type_name(value)}")

    def _set_loop_variables(self, pipeline: Pipeline, index: Any, element: Any) -> None:
        names = pipeline.variables
        values = (index, element)[2 - len(names) :] if names else ()
        if pipeline.assigns:
            for name, value in zip(names, values, strict=True):
                self._assign(name, value)
        elif names:
            self._variables[-len(names) :] = zip(names, values, strict=True)

    # Values

    def _pipeline(self, dot: Any, pipeline: Pipeline) -> Any:
        self._line = pipeline.line
        value: Any = None
        for number, command in enumerate(pipeline.commands):
            value = self._command(dot, command, [value] if number else [])
            value = MISSING if value is None else value
        for name in pipeline.variables:
            if pipeline.assigns:
                self._assign(name, value)
            else:
                self._variables.append((name, value))
        return value

    def _assign(self, name: str, value: Any) -> None:
        self._variables[self._place_of(name)] = (name, value)

    def _place_of(self, name: str) -> int:
        """Return where a variable is. One that another branch has set is not there, as in Go."""
        for place in reversed(range(len(self._variables))):
            if self._variables[place][0] == name:
                return place
        raise GoValueError(f"the variable `{name[:40]}` is not set here")

    def _command(self, dot: Any, command: Command, final: list[Any]) -> Any:
        """Return a command's value; `final`: the value of the command before it, if there is one."""
        first, *arguments = command.operands
        has_arguments = bool(arguments or final)
        match first:
            case FunctionOperand(name):
                return self._call(dot, name, arguments, final)
            case FieldOperand() | ChainOperand() | VariableOperand():
                return self._members(dot, first, has_arguments=has_arguments)
        if has_arguments:
            raise GoValueError("what is no function has arguments")
        if isinstance(first, NilOperand):
            raise GoValueError("`nil` is no value to write")
        return self._argument(dot, first)

    def _members(
        self, dot: Any, operand: FieldOperand | ChainOperand | VariableOperand, *, has_arguments: bool = False
    ) -> Any:
        match operand:
            case FieldOperand(names):
                value = dot
            case VariableOperand(name, names):
                value = self._variables[self._place_of(name)][1]
                if has_arguments and not names:
                    raise GoValueError("a variable is no function, and has arguments")
            case ChainOperand(inner, names):
                value = self._argument(dot, inner)
        self._budget.spend(len(names))
        if value is self._document and names and names[0] in self._beside:
            value = self._beside
        for number, name in enumerate(names, 1):
            value = member(value, name, has_arguments=has_arguments and number == len(names))
        return value

    def _argument(self, dot: Any, operand: Operand) -> Any:
        match operand:
            case DotOperand():
                return dot
            case NilOperand():
                return None
            case LiteralOperand(value):
                return ConstantText(value) if isinstance(value, str) else value
            case FunctionOperand(name):
                return self._call(dot, name, [], [])
            case Pipeline():
                return self._pipeline(dot, operand)
            case _:
                return self._members(dot, operand)

    def _call(self, dot: Any, name: str, arguments: list[Operand], final: list[Any]) -> Any:
        self._budget.spend(1)
        if name == EVAL_ARGS:
            return show_all(self._values(dot, arguments, final), self._budget)
        call = FUNCTIONS[name].call
        if call is None:
            return self._logic(dot, arguments, final, until=name == "or")
        return call(self._values(dot, arguments, final), self._budget)

    def _values(self, dot: Any, arguments: list[Operand], final: list[Any]) -> list[Any]:
        values = [*(self._argument(dot, argument) for argument in arguments), *final]
        return [None if value is MISSING else value for value in values]

    def _logic(self, dot: Any, arguments: list[Operand], final: list[Any], *, until: bool) -> Any:
        """Return the first value that decides, else the last one; what stands behind it is not evaluated."""
        value: Any = MISSING
        for argument in arguments:
            value = self._argument(dot, argument)
            if is_true(value) == until:
                return value
        return final[0] if final else value
