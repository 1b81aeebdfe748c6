"""Actions that escape their value themselves, by `html` or `urlquery`, as Go's html/template rewrites them."""

from kubectl_sew.consumers.go_template.errors import GoSyntaxError
from kubectl_sew.consumers.go_template.nodes import ActionNode, Command, FunctionOperand, Pipeline

EVAL_ARGS = "_eval_args_"
"""A function that no template can name: it makes one text of an escaper's arguments."""

_ESCAPERS = ("html", "urlquery")


def with_escaper_last(action: ActionNode) -> ActionNode:
    """Return an action with an escaper as its last command, and without arguments. Raises GoSyntaxError."""
    commands = action.pipeline.commands
    names = [
        operand.name if isinstance(operand := command.operands[0], FunctionOperand) else "" for command in commands
    ]
    if any(name in _ESCAPERS for name in names[:-1]):
        hint = "what comes behind it could undo it; for it as an argument write parentheses"
        raise GoSyntaxError(action.line, "`html` and `urlquery` must be an action's last command", hint)
    if names[-1] not in _ESCAPERS:
        return action
    last = commands[-1]
    if len(commands) == 1 and len(last.operands) > 1:
        commands = (Command((FunctionOperand(EVAL_ARGS), *last.operands[1:])), Command(last.operands[:1]))
    elif names[-1] == "html":
        commands = (*commands[:-1], Command(last.operands[:1]))
    pipeline = Pipeline(action.pipeline.line, commands)
    return ActionNode(action.line, pipeline, escaped=names[-1] == "html")
