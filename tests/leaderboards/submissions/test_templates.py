"""Chat templates of strangers: the same text as by transformers, within bounds."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerFast

from lmgym.errors import LmgymError
from lmgym.leaderboards.submissions.templates import BoundedTemplate, check_template
from lmgym.policies.byte_tokenizer import byte_tokenizer

TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"a": "é"}}}]
MESSAGES = [
    {"role": "system", "content": " Be short. "},
    {"role": "user", "content": "1+1='<b>'"},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\n2"},
    {"role": "tool", "content": "42"},
    {"role": "user", "content": "lower\n"},
]
THINKING = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "<|im_end|>\\n" }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and \
not(message.content.startswith('<tool_response>') and message.content.endswith('x')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1] %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.last or (not loop.last and reasoning) %}
            {{- '<|im_start|>' + message.role + '\\n<think>' + reasoning.strip('\\n') }}
        {%- endif %}
        {{- content }}
        {%- if message.tool_calls %}
            {%- for call in message.tool_calls %}{{- call.name ~ call.arguments }}{%- endfor %}
        {%- endif %}
    {%- elif message.role == "tool" and (loop.first or loop.previtem.role != "tool") %}
        {{- '<|im_start|>user\\n<tool_response>' + content | trim + '</tool_response>' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>' }}{%- endif %}
{%- endif %}
"""
TEMPLATES = [
    THINKING,
    "{{ bos_token | default('<s>') }}{% for m in messages %}{% if loop.index0 % 2 == 0 %}"
    "{{ '[INST] ' ~ m['content'] | trim ~ ' [/INST]' }}{% else %}{{ m.content + eos_token }}"
    "{% endif %}{% endfor %}",
    "{% for m in messages if m.role in ['user', 'assistant'] %}{{ loop.index }}/{{ loop.length }}"
    "{{ loop.revindex }}{{ m.content | upper | replace('A', 'aa') }}{% else %}none{% endfor %}",
    "{% set ns = namespace(text='') %}"
    "{% for m in messages | selectattr('role', 'equalto', 'user') %}"
    "{% set ns.text = ns.text + m.content + '|' %}{% endfor %}{{ ns.text }}{{ nothing }}",
    "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% if loop.index == 2 %}{% break %}{% endif %}{% endfor %}",
    "{{ messages[0].items() | list }}{{ 7 - 2 }}{{ -3 }}{{ none }}"
    "{{ messages | tojson(indent=2) }}",
    "{% set x %}a{{ messages[1].content }}{% endset %}{{ x | length }}{% for a, b in messages[0] |"
    " items %}{{ a }}{{ b }}{% endfor %}",
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    made: PreTrainedTokenizerFast = byte_tokenizer()
    return made


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("tools", [None, TOOLS])
def test_a_template_is_rendered_as_transformers_does(
    tokenizer: Any, template: str, tools: Any
) -> None:
    wanted = tokenizer.apply_chat_template(
        MESSAGES, tools=tools, chat_template=template, tokenize=False, add_generation_prompt=True
    )
    found = BoundedTemplate(template).render(
        messages=MESSAGES,
        tools=tools,
        documents=None,
        add_generation_prompt=True,
        **tokenizer.special_tokens_map,
    )
    assert found == wanted


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ 'a' * 10 ** 10 }}", "uses Mul"),
        ("{{ 10 ** 10 ** 10 }}", "uses Pow"),
        ("{% for i in range(10) %}{% endfor %}", "the function range"),
        ("{{ cycler('a') }}", "the function cycler"),
        ("{{ dict(a=1) }}", "the function dict"),
        ("{{ strftime_now('%Y') }}", "asks for the date"),
        ("{{ messages.__class__ }}", "the name __class__"),
        ("{{ 'a'|center(1000000000) }}", "the filter center"),
        ("{{ messages|attr('x') }}", "the filter attr"),
        ("{{ messages|map('center', 9)|list }}", "the filter map"),
        ("{{ messages|tojson(indent=1000000000) }}", "tojson with other values"),
        ("{{ 'a'.replace('a', messages[0].content) }}", "replace with other values"),
        ("{{ ''.join(messages) }}", "the method join"),
        ("{{ '{:9999999999d}'.format(1) }}", "the method format"),
        ("{{ messages['items']() }}", "neither a function nor a method"),
        ("{{ [[messages]] }}", "uses a list with other values"),
        ("{{ {'a': messages} }}", "uses Dict"),
        ("{% macro f() %}{{ f() }}{% endmacro %}", "uses Macro"),
        ("{% include 'x' %}", "uses Include"),
        ("{% for a in messages recursive %}{{ loop(messages) }}{% endfor %}", "recursive"),
        ("{{ messages|selectattr('a', 'callable')|list }}", "a test"),
        ("{{ raise_exception(*messages) }}", "a call with *"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "is no template that can be read"),
        ("{% if 1 %}" * 150 + "{% endif %}" * 150, "is no template that can be read"),
        ("{% for a in messages %}" * 30 + "{% endfor %}" * 30, "is no template that can be read"),
        ("{{ 1", "is no template that can be read"),
        ("x" * 20_000, "has 20000 characters"),
    ],
)
def test_a_template_that_might_do_harm_is_refused(template: str, told: str) -> None:
    (problem,) = check_template(template, "chat_template.jinja:")
    assert told in problem
    assert problem.startswith("chat_template.jinja: ")


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in t %}{% for b in t %}{% for c in t %}{% endfor %}{% endfor %}{% endfor %}",
        "{% set x = t %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
        "{% set x = t %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
        "{% set n = namespace(x='a') %}{% for m in t %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{% set n = namespace(x=t) %}{% for m in t %}{% set n.x = n.x|replace('a', 'aaaaaaaa') %}"
        "{% endfor %}",
        "{% for a in t %}{{ t }}{% endfor %}",
        "{% for a in t %}{% for b in t %}{% if b in t %}{% endif %}{% endfor %}{% endfor %}",
        "{% for a in t %}" + "x" * 9000 + "{% endfor %}",
    ],
)
def test_a_template_that_takes_too_long_is_stopped(template: str) -> None:
    with pytest.raises(LmgymError, match="takes too many steps"):
        BoundedTemplate(template).render(messages=[], t="a" * 2000)


@pytest.mark.parametrize(
    "template",
    [
        "{% set x = messages %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
        "{% set n = namespace(x='a') %}{% set n.x = n %}{{ n }}",
        "{% set n = namespace() %}{{ n }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ raise_exception('no') }}",
        "{{ messages[0].a.b }}",
        "{{ 1 % 0 }}",
        "{{ messages[::0] }}",
    ],
)
def test_a_template_that_fails_says_so_as_jinja_does(template: str) -> None:
    with pytest.raises(TemplateError):
        BoundedTemplate(template).render(messages=MESSAGES)


def test_two_renderings_do_not_share_a_budget() -> None:
    template = BoundedTemplate("{% for a in t %}{{ a }}{% endfor %}")
    for _ in range(3):
        assert len(template.render(t="a" * 20_000)) == 20_000


@pytest.mark.parametrize("source", [r"{{ '\ud83d' }}", "\ud83d", r"{% set x = ['\udfff'] %}"])
def test_half_of_a_surrogate_pair_is_refused(source: str) -> None:
    assert check_template(source, "x:") == [
        "x: holds half of a surrogate pair, which is no character"
    ]


def test_a_text_that_no_tokenizer_reads_is_not_written() -> None:
    template = BoundedTemplate("{{ messages[0].content }}")
    with pytest.raises(LmgymError, match="writes half of a surrogate pair"):
        template.render(messages=[{"role": "user", "content": "\ud83d"}])
    assert template.render(messages=[{"role": "user", "content": "\U0001f600"}]) == "\U0001f600"
