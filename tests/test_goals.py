"""Goals as vectors, one-hot vectors and texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.goals import Fact, GoalSchema
from lmgym.testing.flip_bits import FlipBitsTask

NAMES = st.text("ab =;%\\'\n\u00e9\ud800,", max_size=6)


@st.composite
def schemas(draw: Any) -> GoalSchema:
    keys = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    values = st.lists(NAMES, min_size=1, max_size=4, unique=True)
    return GoalSchema([Fact(key, tuple(draw(values))) for key in keys])


@st.composite
def schemas_and_goals(draw: Any, n: int = 3) -> tuple[GoalSchema, Any]:
    schema = draw(schemas())
    goals = [[draw(st.integers(0, size - 1)) for size in schema.sizes.tolist()] for _ in range(n)]
    return schema, np.array(goals, np.int16)


LAMP = GoalSchema([Fact("light", ("off", "on")), Fact("speed", ("slow", "fast", "faster"))])


@given(schemas_and_goals())
def test_texts_lead_back_to_their_goals(case: tuple[GoalSchema, Any]) -> None:
    schema, goals = case
    for goal in goals:
        parsed = schema.parse(schema.describe(goal))
        assert parsed.dtype == np.int16
        assert parsed.tolist() == goal.tolist()


@given(schemas_and_goals(n=2))
def test_different_goals_have_different_texts(case: tuple[GoalSchema, Any]) -> None:
    schema, (one, other) = case
    same = one.tolist() == other.tolist()
    assert (schema.describe(one) == schema.describe(other)) is same


@given(schemas_and_goals(), st.sampled_from([(3,), (3, 1), (1, 3)]))
def test_one_hot_vectors_lead_back_to_their_goals(
    case: tuple[GoalSchema, Any], shape: tuple[int, ...]
) -> None:
    schema, goals = case
    goals = goals.reshape(*shape, -1)
    hot = schema.one_hot(goals)
    assert hot.dtype == np.float32
    assert hot.shape == (*shape, schema.n_values)
    assert (hot.sum(-1) == len(schema.facts)).all()
    back = schema.from_one_hot(hot)
    assert back.dtype == np.int16
    assert np.array_equal(back, goals)


@given(schemas_and_goals())
def test_no_description_is_longer_than_the_longest(case: tuple[GoalSchema, Any]) -> None:
    schema, goals = case
    spelled = [schema.describe(goal).encode("utf-8", "surrogatepass") for goal in goals]
    assert max(map(len, spelled)) <= schema.longest


def test_the_longest_description_is_as_long_as_told() -> None:
    assert len(LAMP.describe([0, 2])) == LAMP.longest


@given(schemas(), st.text("ab =;%\\'\n\u00e92BD35", max_size=30))
def test_texts_that_no_goal_has_are_refused(schema: GoalSchema, text: str) -> None:
    try:
        goal = schema.parse(text)
    except LmgymError:
        return
    assert schema.describe(goal) == text


@pytest.mark.parametrize(
    "text",
    ["", "light=on", "speed=fast; light=on", "light=on; speed=fast; ", "light=on;speed=fast"],
)
def test_a_text_of_other_facts_is_refused(text: str) -> None:
    with pytest.raises(LmgymError, match=r"a goal has 2 facts|unknown fact"):
        LAMP.parse(text)


def test_an_unknown_value_is_told_with_those_there_are() -> None:
    with pytest.raises(LmgymError, match="unknown fact 'speed=fasst'; known: speed=fast, "):
        LAMP.parse("light=on; speed=fasst")


def test_names_are_escaped() -> None:
    schema = GoalSchema([Fact("a=b", ("50%; c",))])
    assert schema.describe([0]) == "a%3Db=50%25%3B c"


def test_matching_takes_all_facts() -> None:
    achieved = np.array([[0, 1], [1, 1], [1, 2]])
    assert GoalSchema.matches(achieved, [1, 1]).tolist() == [False, True, False]
    hot = LAMP.one_hot(achieved)
    assert GoalSchema.matches(hot, hot[1]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("goal", "told"),
    [
        ([1, 3], r"fact 'speed' of the goal is 3; allowed are 0 \(slow\), 1 \(fast\), 2 \(faster"),
        ([-1, 0], r"fact 'light' of the goal is -1; allowed are 0 \(off\), 1 \(on\)"),
        ([1 << 40, 0], "fact 'light' of the goal is 1099511627776"),
        ([1], "a goal holds 2 whole numbers, one for each of light, speed; given"),
        ([[1, 1]], "a goal holds 2 whole numbers"),
        ([1.0, 1.0], "a goal holds 2 whole numbers"),
        ([True, False], "a goal holds 2 whole numbers"),
        ([[1], [1, 2]], "a goal holds 2 whole numbers"),
        ("on", "a goal holds 2 whole numbers"),
        (None, "a goal holds 2 whole numbers"),
    ],
)
def test_what_is_no_goal_is_told(goal: Any, told: str) -> None:
    with pytest.raises(LmgymError, match=told):
        LAMP.check(goal)


def test_a_checked_goal_is_a_copy() -> None:
    goal = np.array([1, 2], np.int16)
    checked = LAMP.check(goal)
    goal[0] = 0
    assert checked.tolist() == [1, 2]


@pytest.mark.parametrize(
    "vector", [[1, 1, 1, 0, 0], [0, 0, 1, 0, 0], [0.5, 0.5, 1, 0, 0], [0, 1, 0, 0, 2]]
)
def test_vectors_that_are_not_one_hot_are_refused(vector: list[float]) -> None:
    with pytest.raises(LmgymError, match="exactly one 1 for each fact"):
        LAMP.from_one_hot(vector)


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(LmgymError, match=r"the shape \(\.\.\., 5\); given \(2,\)"):
        LAMP.from_one_hot([1, 0])


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ([], "one fact or more"),
        ([Fact("a", ("1",)), Fact("a", ("2",))], "keys of facts are all different"),
        ([Fact("a", ())], "fact 'a' has 0 values"),
        ([Fact("a", ("1", "2", "1"))], "fact 'a' has 3 values, 2 of them different"),
    ],
)
def test_facts_that_make_no_schema_are_told(facts: list[Fact], told: str) -> None:
    with pytest.raises(LmgymError, match=told):
        GoalSchema(facts)


def test_schemas_of_the_same_facts_are_equal() -> None:
    twin = GoalSchema([*LAMP.facts])
    assert twin == LAMP
    assert hash(twin) == hash(LAMP)
    assert GoalSchema(LAMP.facts[:1]) != LAMP


def test_a_goal_task_reads_no_messages() -> None:
    task = FlipBitsTask()
    state = task.reset(np.random.default_rng(0)).state
    with pytest.raises(LmgymError, match="takes commands and no messages"):
        task.reply(state, "flip", np.random.default_rng(0))


def test_a_state_is_described_by_its_goals() -> None:
    task = FlipBitsTask()
    state = task.reset(np.random.default_rng(0), goal=[1, 0, 0, 0]).state
    assert task.describe_state(state).splitlines() == [
        "goal: bit 0=1; bit 1=0; bit 2=0; bit 3=0",
        "state: bit 0=0; bit 1=0; bit 2=0; bit 3=0",
    ]
