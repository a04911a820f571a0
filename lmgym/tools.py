"""Tools that an agent may call: their schemas, how calls are written, and what comes back.

A world declares tools in the first message of its opening (`Message.tools`) and answers calls with
messages of the role tool. Calls are text like everything an agent writes, read from its message
and never put in other words:

    <tool_call>                                                     Hermes, Qwen and their kin
    {"name": "calculator", "arguments": {"expression": "12*34"}}
    </tool_call>

    <tool_call><function=calculator><parameter=expression>12*34     Qwen 3.5, with closing tags
    {"name": "calculator", "parameters": {"expression": "12*34"}}   Llama 3

    =12*34                                                          compact, behind a tool's mark
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from lmgym.errors import LmgymError, unknown
from lmgym.task import Message, Role

__all__ = [
    "FAILED",
    "MAX_RESULT",
    "Call",
    "CallForm",
    "Parameter",
    "Tool",
    "ToolSchema",
    "Toolbox",
    "call_text",
    "declared",
    "instructions",
    "standard_messages",
    "usage",
]

FAILED = "error: "
"""What a tool's message begins with where a call failed."""
MAX_RESULT = 200
"""Characters of a tool's message; longer results fail, longer errors are cut. Errors are ASCII."""

CallForm = Literal["compact", "hermes"]
"""How a call is written: behind the tool's mark, or as JSON between tags."""

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_START = re.compile(r'(?P<tag><tool_call>)\s*|(?=\{\s*"name"\s*:)')
_FUNCTION = re.compile(r"<function=([^>]*)>(.*?)</function>", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>]*)>(.*?)</parameter>", re.DOTALL)
_CLOSE = "</tool_call>"
_NONE_LEFT = f"{FAILED}no calls are left; write your answer without one"
_GIVEN = 40
"""Characters of what was given that an error repeats."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument of a tool; all are required."""

    name: str
    description: str
    type: Literal["string", "integer", "number", "boolean"] = "string"


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """What an agent is told of a tool.

    Attributes:
        description: what it does, a sentence.
        mark: a message that begins with it calls the tool with the rest as its only argument; of
            tools with one parameter of type string.

    Example:
        >>> schema = ToolSchema("echo", "Says it again.", (Parameter("text", "What to say."),))
        >>> schema.as_dict()["function"]["parameters"]["required"]
        ['text']
    """

    name: str
    description: str
    parameters: tuple[Parameter, ...] = ()
    mark: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The JSON schema in the form that chat templates and endpoints take."""
        known = self.parameters
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": {
                    "type": "object",
                    "properties": {
                        p.name: {"type": p.type, "description": p.description} for p in known
                    },
                    "required": [p.name for p in known],
                },
            },
        }


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: its schema and what it does.

    Attributes:
        run: called with the arguments by name; returns the result, and raises `LmgymError` where
            the arguments are at fault.
    """

    schema: ToolSchema
    run: Callable[..., str]


class Call(NamedTuple):
    """A call: which tool, with which arguments."""

    name: str
    arguments: Mapping[str, Any]


class Toolbox:
    """The tools of a world: reads calls in messages and answers them.

    Args:
        tools: with different names and marks.

    Example:
        >>> schema = ToolSchema("echo", "Says it again.", (Parameter("text", "What."),), mark="!")
        >>> box = Toolbox(Tool(schema, lambda text: text))
        >>> box.answer("!hello")
        ['hello']
        >>> box.answer('<tool_call>{"name": "eko", "arguments": {}}</tool_call>')
        ["error: unknown tool 'eko'; known: echo"]
        >>> box.answer("hello")
        []
    """

    def __init__(self, *tools: Tool) -> None:
        """Check the marks."""
        self._tools = {tool.schema.name: tool for tool in tools}
        self._marks = {schema.mark: schema for schema in self.schemas if schema.mark}
        for schema in self._marks.values():
            if [parameter.type for parameter in schema.parameters] != ["string"]:
                raise LmgymError(
                    f"the tool {schema.name!r} has the mark {schema.mark!r} and not one parameter"
                    " of type string; leave the mark out"
                )

    @property
    def schemas(self) -> tuple[ToolSchema, ...]:
        """What a world declares."""
        return tuple(tool.schema for tool in self._tools.values())

    def calls(self, text: str) -> list[Call | LmgymError]:
        """The calls in a message, or what is wrong with them; empty where it has none.

        What is thought between `<think>` tags calls nothing.
        """
        said = _without_thoughts(text)
        found = [*self._calls_as_json(said)] if "{" in said or "<tool_call>" in said else []
        if found:
            return found
        for mark, schema in self._marks.items():
            if said.startswith(mark):
                return [Call(schema.name, {schema.parameters[0].name: said[len(mark) :].strip()})]
        for name, tool in self._tools.items():
            if said.startswith(f"{name}("):
                return [LmgymError(f"{_cut(said)!r} is no call; {usage(tool.schema)}")]
        return []

    def answer(self, text: str, allowed: int | None = None) -> list[str]:
        """What the tools say to a message: a result or an error for each call in it.

        Args:
            text: of the agent.
            allowed: calls that may be run; by default all.
        """
        calls = self.calls(text)
        said = [self._answered(call) for call in calls[:allowed]]
        return said + [_NONE_LEFT] * (len(calls) - len(said))

    def _answered(self, call: Call | LmgymError) -> str:
        try:
            result = self._run(call)
        except LmgymError as error:
            told = f"{FAILED}{error}".encode("ascii", "backslashreplace").decode()
            return told if len(told) <= MAX_RESULT else told[: MAX_RESULT - 3] + "..."
        if len(result) > MAX_RESULT:
            return f"{FAILED}the result has {len(result)} characters; at most {MAX_RESULT} are told"
        return result

    def _run(self, call: Call | LmgymError) -> str:
        if isinstance(call, LmgymError):
            raise call
        if call.name not in self._tools:
            raise unknown("tool", _cut(call.name), self._tools)
        tool = self._tools[call.name]
        _check_arguments(tool.schema, call.arguments)
        return tool.run(**call.arguments)

    def _calls_as_json(self, said: str) -> Iterator[Call | LmgymError]:
        """Calls between tags, and objects of JSON that begin with a name."""
        place = 0
        while (start := _START.search(said, place)) is not None:
            try:
                if (found := _FUNCTION.match(said, start.end())) is not None:
                    place = found.end()
                    yield self._as_tagged_call(found[1], found[2])
                else:
                    value, place = json.JSONDecoder().raw_decode(said, start.end())
                    yield _as_call(value)
            except (ValueError, RecursionError) as error:  # also integers too long
                place = said.find(_CLOSE, start.end()) if start["tag"] else len(said)
                place = len(said) if place < 0 else place
                example = next(iter(self.schemas))
                yield LmgymError(
                    f"cannot read the call {_cut(said[start.end() :])!r}: {_reason(error)};"
                    f" {usage(example, 'hermes')}"
                )

    def _as_tagged_call(self, name: str, body: str) -> Call:
        """A call whose arguments are text between tags; what should be no string is JSON."""
        given = {key: value.strip() for key, value in _PARAMETER.findall(body)}
        tool = self._tools.get(name)
        texts = [p.name for p in tool.schema.parameters if p.type == "string"] if tool else given
        return Call(name, {k: v if k in texts else json.loads(v) for k, v in given.items()})


def call_text(call: Call, form: CallForm = "hermes", schema: ToolSchema | None = None) -> str:
    """How a call is written.

    Args:
        call: the call, of any tool.
        form: how to write it.
        schema: of the tool; says the mark of the compact form.

    Example:
        >>> print(call_text(Call("calculator", {"expression": "1+1"})))
        <tool_call>
        {"name": "calculator", "arguments": {"expression": "1+1"}}
        </tool_call>
    """
    if form == "hermes":
        written = json.dumps(call._asdict(), ensure_ascii=False)
        return f"<tool_call>\n{written}\n{_CLOSE}"
    if schema is None or not schema.mark:
        raise LmgymError(f"the tool {call.name!r} has no mark for compact calls; take 'hermes'")
    (argument,) = call.arguments.values()
    return f"{schema.mark}{argument}"


def declared(messages: Sequence[Message]) -> tuple[ToolSchema, ...]:
    """The tools that a conversation declares."""
    return tuple(tool for message in messages for tool in message.tools)


def instructions(tools: Sequence[ToolSchema]) -> str:
    """What tells a language model of its tools, where its chat template does not."""
    schemas = "\n".join(json.dumps(tool.as_dict()) for tool in tools)
    form = call_text(Call("NAME", {"PARAMETER": "VALUE"}))
    return (
        f"You may call these functions before you answer:\n{schemas}\nTo call one, write this and"
        f" nothing after it:\n{form}\nThe next message has its result."
    )


def usage(tool: ToolSchema, form: CallForm = "compact") -> str:
    """How a tool is called, in a line.

    Example:
        >>> usage(ToolSchema("echo", "Says it again.", (Parameter("text", "What."),), mark="!"))
        'to call echo write !TEXT'
    """
    if form == "compact" and tool.mark:
        return f"to call {tool.name} write {tool.mark}{tool.parameters[0].name.upper()}"
    arguments = {parameter.name: "..." for parameter in tool.parameters}
    return f"write {json.dumps(Call(tool.name, arguments)._asdict())} in <tool_call> tags"


def standard_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """A conversation in the form of OpenAI's chat endpoints, for these and for data sets.

    Calls become `tool_calls` with an id each, which the tool's messages name. Calls that nobody
    can read stay text, and what the tool said to them is the user's. The agent's ids are not made
    from this: transcripts keep them as they were drawn.
    """
    box = Toolbox(*(Tool(schema, str) for schema in declared(messages)))
    told: list[dict[str, Any]] = []
    waiting: list[str] = []
    for message in messages:
        form: dict[str, Any] = message.as_dict()
        if message.role is Role.ASSISTANT:
            calls = box.calls(message.content)
            read = [call for call in calls if isinstance(call, Call)]
            if read and len(read) == len(calls):
                n_told = sum(len(m.get("tool_calls", ())) for m in told)
                waiting = [f"call_{n_told + i}" for i in range(len(read))]
                form |= {
                    "content": _before_calls(message.content),
                    "tool_calls": [_standard(*named) for named in zip(waiting, read, strict=True)],
                }
        elif message.role is Role.TOOL:
            form |= {"tool_call_id": waiting.pop(0)} if waiting else {"role": str(Role.USER)}
        told.append(form)
    return told


def _standard(call_id: str, call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
    return {"id": call_id, "type": "function", "function": function}


def _without_thoughts(text: str) -> str:
    """What is said; templates may open a thought in the agent's header, so that it only closes."""
    if "think>" in text:
        text = _THOUGHT.sub("", text).rpartition("</think>")[2]
    return text.strip()


def _before_calls(text: str) -> str:
    """What an agent says before its first call."""
    start = _START.search(text)
    return text[: start.start()].strip() if start else ""


def _as_call(value: Any) -> Call:
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise ValueError("it is no object with a name")
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):  # as endpoints write them
        arguments = json.loads(arguments)
    if not isinstance(arguments, dict):
        raise ValueError("its arguments are no object")
    return Call(value["name"], arguments)


def _check_arguments(tool: ToolSchema, arguments: Mapping[str, Any]) -> None:
    needed = {parameter.name: parameter.type for parameter in tool.parameters}
    if arguments.keys() != needed.keys():
        raise LmgymError(
            f"{tool.name} takes {', '.join(needed) or 'no arguments'} and was given"
            f" {_cut(', '.join(arguments)) or 'nothing'}; {usage(tool, 'hermes')}"
        )
    for name, kind in needed.items():
        value = arguments[name]
        is_bool = isinstance(value, bool)
        if not isinstance(value, _TYPES[kind]) or is_bool != (kind == "boolean"):
            raise LmgymError(
                f"{name} of {tool.name} must be of type {kind} and is {_cut(repr(value))};"
                f" {usage(tool, 'hermes')}"
            )


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"it is no JSON ({error.msg})"
    return _cut(str(error))


def _cut(text: str) -> str:
    return text if len(text) <= _GIVEN else text[: _GIVEN - 3] + "..."
