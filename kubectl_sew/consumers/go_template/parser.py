"""From tokens to the tree, by the rules of Go's text/template and, for the escapers, html/template."""

from dataclasses import dataclass, field

from kubectl_sew.consumers.go_template.errors import GoSyntaxError
from kubectl_sew.consumers.go_template.escapers import with_escaper_last
from kubectl_sew.consumers.go_template.functions import FUNCTIONS
from kubectl_sew.consumers.go_template.lexer import Kind, Lexeme, scan
from kubectl_sew.consumers.go_template.literals import LiteralError, read_character, read_number, read_string
from kubectl_sew.consumers.go_template.nodes import (
    ActionNode,
    Body,
    BranchNode,
    BreakNode,
    ChainOperand,
    Command,
    ContinueNode,
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
from kubectl_sew.consumers.go_template.values import valid_text

DEPTH_LIMIT = 40
_NOT_TAKEN = {
    "define": "a webhook has one template: write it in place",
    "template": "a webhook has one template: write it in place",
    "block": "a webhook has one template: write it in place",
}
_NAMES_OF_JSON = ("tojson", "toprettyjson", "to_json", "jsonify")
"""What other template languages call `json`."""
_OPERANDS = {
    *(Kind.BOOLEAN, Kind.CHARACTER, Kind.DOT, Kind.FIELD, Kind.IDENTIFIER, Kind.NUMBER),
    *(Kind.RAW, Kind.STRING, Kind.VARIABLE, Kind.OPEN),
}
_NO_COMMANDS = LiteralOperand | DotOperand | NilOperand


def parse_template(source: str) -> Body:
    """Return the tree of a template. Raises GoSyntaxError."""
    return _Parser(scan(valid_text(source))).template()


@dataclass(slots=True)
class _Parser:
    """Parser of one template."""

    tokens: list[Lexeme]
    at: int = 0
    depth: int = 0
    loops: int = 0
    dead: bool = False
    """Whether a `break` or `continue` stands before this place: what follows it is left out, and may be wrong HTML."""

    variables: list[str] = field(default_factory=lambda: ["$"])

    def template(self) -> Body:
        body, end = self._body()
        if end.kind is not Kind.END:
            raise self._error(f"there is an `{end.text}` without its beginning", end)
        return body

    def _error(self, message: str, token: Lexeme | None = None, hint: str = "") -> GoSyntaxError:
        return GoSyntaxError((token or self._peek()).line, message, hint)

    def _peek(self) -> Lexeme:
        return self.tokens[self.at]

    def _next(self) -> Lexeme:
        self.at += 1
        return self.tokens[self.at - 1]

    def _peek_word(self) -> Lexeme:
        """Return the next token that is no blank, which comes next."""
        while self._peek().kind is Kind.SPACE:
            self.at += 1
        return self._peek()

    def _next_word(self) -> Lexeme:
        self._peek_word()
        return self._next()

    def _is_keyword(self, *words: str) -> bool:
        token = self._peek_word()
        return token.kind is Kind.KEYWORD and token.text in words

    def _expect_right(self, what: str) -> None:
        token = self._next_word()
        if token.kind is not Kind.RIGHT:
            raise self._unexpected(token, what)

    def _unexpected(self, token: Lexeme, what: str) -> GoSyntaxError:
        shown = token.kind.value if token.kind in (Kind.TEXT, Kind.END, Kind.RIGHT) else f"`{token.text[:20]}`"
        return self._error(f"unexpected {shown} in {what}", token)

    # Bodies

    def _body(self) -> tuple[Body, Lexeme]:
        """Return nodes up to `end`, `else` or the end, and that token; its action is open still."""
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise self._error("the template is nested too deeply", hint="simplify it")
        nodes: list[TemplateNode] = []
        was_dead = self.dead
        while (token := self._next()).kind is not Kind.END:
            if token.kind is not Kind.TEXT and self._is_keyword("end", "else"):
                token = self._next_word()
                break
            node = TextNode(token.line, token.text) if token.kind is Kind.TEXT else self._action()
            if not self.dead:
                nodes.append(node)
            self.dead = self.dead or isinstance(node, BreakNode | ContinueNode)
        self.depth -= 1
        self.dead = was_dead
        return tuple(nodes), token

    def _inner_body(self) -> tuple[Body, Lexeme]:
        opened = self._peek()
        body, end = self._body()
        if end.kind is Kind.END:
            raise self._error("an `{{end}}` is missing", opened)
        return body, end

    def _otherwise(self) -> Body:
        self._expect_right("else")
        body, end = self._inner_body()
        if end.text != "end":
            raise self._error("there is an `else` behind an `else`", end)
        self._expect_right("end")
        return body

    def _action(self) -> TemplateNode:
        token = self._peek_word()
        if token.kind is not Kind.KEYWORD or token.text == "nil":
            return self._written()
        self._next()
        match token.text:
            case "if" | "with":
                return self._branch(token)
            case "range":
                return self._range(token)
            case "break" | "continue":
                return self._leave(token)
            case word:
                raise self._error(f"`{word}` cannot be used", token, _NOT_TAKEN.get(word, ""))

    def _branch(self, word: Lexeme) -> BranchNode:
        known = len(self.variables)
        arms: list[tuple[Pipeline, Body]] = []
        otherwise: Body = ()
        while True:
            pipeline = self._pipeline(word.text, Kind.RIGHT)
            body, end = self._inner_body()
            arms.append((pipeline, body))
            if end.text == "end":
                self._expect_right("end")
                break
            if not self._is_keyword(word.text):
                otherwise = self._otherwise()
                break
            self._next()
        del self.variables[known:]
        return BranchNode(word.line, word.text == "with", tuple(arms), otherwise)

    def _range(self, word: Lexeme) -> RangeNode:
        known = len(self.variables)
        pipeline = self._pipeline("range", Kind.RIGHT)
        self.loops += 1
        body, end = self._inner_body()
        self.loops -= 1
        otherwise: Body = ()
        if end.text == "end":
            self._expect_right("end")
        else:
            otherwise = self._otherwise()
        del self.variables[known:]
        return RangeNode(word.line, pipeline, body, otherwise)

    def _leave(self, word: Lexeme) -> TemplateNode:
        self._expect_right(word.text)
        if not self.loops:
            raise self._error(f"`{word.text}` can stand inside a `range` alone", word)
        return BreakNode(word.line) if word.text == "break" else ContinueNode(word.line)

    def _written(self) -> ActionNode:
        line = self._peek().line
        pipeline = self._pipeline("an action", Kind.RIGHT)
        action = ActionNode(line, pipeline)
        return action if pipeline.variables or self.dead else with_escaper_last(action)

    # Pipelines

    def _pipeline(self, what: str, end: Kind) -> Pipeline:
        line = self._peek_word().line
        variables, assigns = self._declared(what)
        commands: list[Command] = []
        while (token := self._peek_word()).kind is not end:
            if token.kind not in _OPERANDS and token.text != "nil":
                raise self._unexpected(token, what)
            commands.append(self._command(is_first=not commands))
        self._next()
        if not commands:
            raise self._error(f"a value is missing in {what}", token)
        if any(isinstance(command.operands[0], _NO_COMMANDS) for command in commands[1:]):
            raise self._error("behind a `|` stands a function, and this is none", token)
        return Pipeline(line, tuple(commands), tuple(variables), assigns)

    def _declared(self, what: str) -> tuple[list[str], bool]:
        """Return the variables before `:=` or `=`, and whether it is the latter."""
        names: list[str] = []
        while self._peek_word().kind is Kind.VARIABLE:
            before = self.at
            name = self._next().text
            sign = self._peek_word()
            if sign.kind in (Kind.DECLARE, Kind.ASSIGN):
                self._next()
                names.append(name)
                if sign.kind is Kind.ASSIGN and not {*names} <= {*self.variables}:
                    raise self._error(f"the variable `{name[:40]}` is not set before", sign, "a new one has `:=`")
                self.variables += names
                return names, sign.kind is Kind.ASSIGN
            if sign.text != ",":
                self.at = before
                break
            self._next()
            if what != "range" or names:
                raise self._error(f"there are too many variables in {what}", sign)
            names.append(name)
            if self._peek_word().kind not in (Kind.VARIABLE, Kind.RIGHT, Kind.CLOSE):
                raise self._error("`range` can set variables alone", sign)
        return names, False

    def _command(self, *, is_first: bool) -> Command:
        operands: list[Operand] = []
        beginning = self._peek_word()
        while True:
            self._peek_word()
            if (operand := self._operand()) is not None:
                operands.append(operand)
            token = self._next()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in (Kind.RIGHT, Kind.CLOSE):
                self.at -= 1
            elif token.kind is not Kind.PIPE:
                raise self._unexpected(token, "a command")
            break
        if not operands:
            raise self._error("a command is empty", token)
        self._check_counts(operands, beginning, is_first=is_first)
        return Command(tuple(operands))

    def _check_counts(self, operands: list[Operand], token: Lexeme, *, is_first: bool) -> None:
        """Refuse functions with too few or too many arguments; one inside of a command has none."""
        counts = [len(operands) - is_first, *[0] * (len(operands) - 1)]
        for operand, count in zip(operands, counts, strict=True):
            called = operand.operand if isinstance(operand, ChainOperand) else operand
            if isinstance(called, FunctionOperand) and not FUNCTIONS[called.name].takes(count * (called is operand)):
                hint = "a function with arguments that is itself an argument stands in parentheses"
                raise self._error(f"`{called.name}` has too few or too many arguments", token, hint)

    def _operand(self) -> Operand | None:
        token = self._peek_word()
        operand = self._term()
        names = []
        while self._peek().kind is Kind.FIELD:
            names.append(self._next().text[1:])
        if operand is None or not names:
            return operand
        match operand:
            case FieldOperand(own):
                return FieldOperand((*own, *names))
            case VariableOperand(name, own):
                return VariableOperand(name, (*own, *names))
            case LiteralOperand() | NilOperand() | DotOperand():
                raise self._error(f"`{token.text[:20]}` has no fields", token)
            case _:
                return ChainOperand(operand, tuple(names))

    def _term(self) -> Operand | None:
        token = self._peek_word()
        if token.kind is Kind.KEYWORD and token.text == "nil":
            self._next()
            return NilOperand()
        if token.kind not in _OPERANDS:
            return None
        self._next()
        return self._read_term(token)

    def _read_term(self, token: Lexeme) -> Operand:
        match token.kind:
            case Kind.IDENTIFIER:
                return self._function(token)
            case Kind.DOT:
                return DotOperand()
            case Kind.FIELD:
                return FieldOperand((token.text[1:],))
            case Kind.VARIABLE:
                return self._variable(token)
            case Kind.OPEN:
                return self._parenthesis(token)
            case _:
                return self._literal(token)

    def _function(self, token: Lexeme) -> FunctionOperand:
        if token.text == "call":
            raise self._error("`call` cannot be used", token, "an event holds no functions")
        if token.text not in FUNCTIONS:
            message = f"there is no function `{token.text[:40]}`"
            hint = f"a field begins with a dot (`.{token.text[:40]}`); the functions are {', '.join(FUNCTIONS)}"
            hint = "use `json`" if token.text.lower() in _NAMES_OF_JSON else hint
            raise self._error(message, token, hint)
        return FunctionOperand(token.text)

    def _variable(self, token: Lexeme) -> VariableOperand:
        if token.text not in self.variables:
            raise self._error(f"the variable `{token.text[:40]}` is not set before", token)
        return VariableOperand(token.text)

    def _parenthesis(self, token: Lexeme) -> Pipeline:
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise self._error("the template is nested too deeply", token, "simplify it")
        pipeline = self._pipeline("parentheses", Kind.CLOSE)
        self.depth -= 1
        return pipeline

    def _literal(self, token: Lexeme) -> LiteralOperand:
        try:
            match token.kind:
                case Kind.BOOLEAN:
                    return LiteralOperand(token.text == "true")
                case Kind.NUMBER:
                    return LiteralOperand(read_number(token.text))
                case Kind.CHARACTER:
                    return LiteralOperand(read_character(token.text))
                case _:
                    return LiteralOperand(read_string(token.text))
        except LiteralError as error:
            raise self._error(str(error), token) from None
