"""The web world for agents of vectors: goals, features, and a list of commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmgym.goals import GoalTask, GoalVector
from lmgym.task import Opening

from .arguments import SiteArgs, split_name
from .backends import DomBackend
from .browsing import Refusal, act_on, execute
from .catalog_view import choices_in
from .episodes import Episodes, WebState
from .families import FAMILIES, make_site
from .memory import forget
from .metrics import measure
from .problems import SPLITS

__all__ = ["WebGoalArgs", "WebGoalTask"]


@dataclass(frozen=True)
class WebGoalArgs(SiteArgs):
    """Arguments of `lmgym/WebGoal-v0`."""


class WebGoalTask(GoalTask[WebState]):
    """Bring a web site into a state, as a vector of facts: for hindsight experience replay.

    Description:
        The sites of `lmgym/Web-v0` for agents that read vectors and choose from a list of commands.
        A goal says what every fact of the site is to be: the setting, the number of mugs in the
        cart, the folder of a message. It is reached when all facts are so, and what was not to
        change has not changed. What a state achieves is a goal itself, so a replay buffer can tell
        an episode again as if what it reached had been asked for.

        Words and layout differ from site to site, and commands keep their meaning: command 4 saves
        the page, whatever its button is called. A command whose element is not on the page, or that
        changes nothing, is masked and does nothing.

    Action space:
        {action_space}

    Observation space:
        {observation_space}

        `observation` says which kind of page is shown, which commands have their element on it, and
        which of them name the value that their field holds. `achieved_goal` and `desired_goal` are
        one-hot by fact, or with `goals="vector"` the places of the values. `action_mask` has a 1
        for each command that does something. With `goal_text=True` the goal is there as text,
        too, as bytes.

    Reward:
        `sparse` (default): -1 for each command, 0 for the one that reaches the goal. `verifier`: 1
        for the one that reaches the goal, else 0. `reward=None` pays nothing. What is paid is what
        `compute_reward` says of the goals that are observed.

    Start:
        A problem drawn from `split`, as in `lmgym/Web-v0`; there is no split `site`, because
        another family has other facts. A goal of one's own: `reset(options={"goal": [...]})`.

    Episode end:
        Terminated when the goal is reached; truncated after `max_turns` commands, so that the end
        of an episode in the sense of `compute_terminated` follows from goals alone.

    Info:
        At reset `task_id` and `prompt_text`; where a command did nothing `last_action_error`; at
        the end `verdict`, `is_success`, `n_steps`.

    Arguments:
        {arguments}

    Data and licence:
        Generated; part of this package.

    Baselines:
        {baselines}

    Versions:
        v0: first version.
    """

    Args = WebGoalArgs
    splits = tuple(split for split in SPLITS if split != "site")
    has_figures = True
    args: WebGoalArgs

    def __init__(self, args: WebGoalArgs) -> None:
        """Look at the family."""
        super().__init__(args)
        family = FAMILIES[args.family]
        self.schema = family.schema()
        self.commands = tuple(map(str, make_site(args.family, 0).commands))
        self.n_features = len(family.kinds) + 2 * len(self.commands)
        self.horizon = args.horizon
        self._kinds = {kind: place for place, kind in enumerate(family.kinds)}
        n_kinds = len(family.kinds)
        self._one_hot = np.eye(n_kinds + 1, n_kinds, dtype=np.float32)  # the last is of none
        self._backend = DomBackend()
        self._episodes = Episodes(args, self._backend)

    def reset(
        self,
        rng: np.random.Generator,
        *,
        split: str = "train",
        task_id: str | None = None,
        goal: Sequence[int] | None = None,
    ) -> Opening[WebState]:
        """Draw a problem from `split`, or open the one that `task_id` addresses."""
        form = f"{self.args.family}/site/fact.value+.../style"
        if task_id is not None and not task_id.startswith(f"{self.args.family}/"):
            raise self.bad_task_id(task_id, form)
        try:
            state = self._episodes.start(rng, split, task_id, goal)
        except KeyError:
            raise self.bad_task_id(task_id or "", form) from None
        return self._episodes.opening(state)

    def task_ids(self, split: str, limit: int) -> list[str]:
        """The first problems of `split`."""
        return self._episodes.problems.task_ids(self.check_split(split), limit)

    def achieved(self, state: WebState) -> GoalVector:
        """What the facts are, shape (D,)."""
        return np.array(state.facts, np.int16)

    def desired(self, state: WebState) -> GoalVector:
        """What they are to be, shape (D,)."""
        return np.array(state.problem.goal, np.int16)

    def features(self, state: WebState) -> NDArray[np.float32]:
        """The kind of page, the commands on it, and those that name what is, shape (F,)."""
        tab = state.tab
        view, _, _, current = choices_in(tab)
        place = self._kinds.get(tab.site.kind_of(tab.url), -1)
        return np.concatenate([self._one_hot[place], view.present, current])

    def command_mask(self, state: WebState) -> NDArray[np.bool_]:
        """Which commands do something, shape (A,)."""
        return choices_in(state.tab).mask

    def command(self, state: WebState, index: int) -> tuple[WebState, str | None]:
        """Carry out a command of the list."""
        tab = state.tab
        view, _, mask, _ = choices_in(tab)
        command = tab.site.commands[index]
        try:
            if mask[index]:
                return state.after(act_on(tab, view.controls[index], command)), None
            execute(tab, command)
        except Refusal as refusal:
            return state, str(refusal)
        return state, f"{command} changes nothing here"

    def describe_state(self, state: WebState) -> str:
        """What is asked for, and the page."""
        return state.text

    def figures(self, journeys: Sequence[Sequence[WebState]]) -> dict[str, float]:
        """Success by facts to change, path efficiency, side effects, refused commands."""
        return measure(journeys)

    def forget(self) -> None:
        """Empty the caches of pages, problems and plans."""
        forget()

    def check_split(self, split: str) -> str:
        """Return the split if it exists; `test` is `iid`."""
        return super().check_split(split_name(split, self.splits))
