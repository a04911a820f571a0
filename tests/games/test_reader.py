"""The policy that reads debates: what it sees, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lmgym.agents.self_play import SelfPlayArgs, SelfPlayLearner
from lmgym.envs.debate.rules import CON, Debate, DebateArgs, Position
from lmgym.envs.nim.rules import Nim
from lmgym.errors import LmgymError
from lmgym.games.policies import load_game_policy, make_game_policy
from lmgym.games.reader import Page, ReaderPolicy
from lmgym.games.reader_learner import ReaderLearner
from lmgym.games.reader_network import ReaderNetwork, draw_weights, stacked, words_of
from lmgym.games.run import Turn
from lmgym.selfplay.arenas import make_arena
from lmgym.selfplay.opponents import Opponents
from lmgym.selfplay.playing import PolicyChooser, deal_states, fixed_deals
from lmgym.selfplay.win_rates import self_play_facts

GAME = Debate()
START = GAME.start(np.random.default_rng(3))


def drawn(seed: int = 0) -> ReaderPolicy:
    """A policy whose last layer is drawn, too, so that it says something."""
    policy = ReaderPolicy.for_game(GAME, torch.Generator().manual_seed(seed))
    draw_weights(policy, torch.Generator().manual_seed(seed))
    return policy


def turn_of(position: Position) -> Turn:
    return Turn(GAME, position, len(position.quotes) % 2)


class TestPages:
    @pytest.mark.parametrize("said", ["[4]", 'Mind this: "{}" And so on.', '"{}"', "{} Indeed."])
    def test_quotes_are_found_in_messages(self, said: str) -> None:
        position = GAME.tell(START, said.format(START.document.sentences[3]))
        position = GAME.play(position, 7)
        page = Page.of(GAME.observe(position, CON))
        assert page.quotes() == [3, 7]
        assert page.sentences == (
            f"Claim: {START.document.claim}",
            *START.document.sentences,
        )

    def test_before_the_first_message_nothing_was_said(self) -> None:
        assert Page.of(GAME.observe(START, CON)).said == ()


class TestWords:
    def test_words_mean_the_same_in_all_texts_and_count_within_each(self) -> None:
        words = stacked([words_of(["Ada met Bela.", "Bela?"]), words_of(["Bela", "met Cleo"])], 2)
        assert words.rows.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 3]
        assert words.identity.tolist() == [0, 1, 2, 0, 2, 0, 0, 0, 1, 2, 0]
        assert len(set(words.meaning[[2, 4, 6]])) == 1 < len(set(words.meaning[:3]))

    def test_sentences_are_tied_by_the_words_they_share(self) -> None:
        network = ReaderNetwork()
        draw_weights(network, torch.Generator().manual_seed(0))
        words = words_of(["Ada met Bela", "Bela came", "Nobody knows"])
        ties = network.read(words, 1).ties[0]
        is_tied = (ties != 0).all(0)
        assert is_tied.tolist() == [[False, True, False], [True, False, False], [False] * 3]


class TestPolicy:
    def test_at_the_start_all_that_is_allowed_is_equally_likely(self) -> None:
        policy = ReaderPolicy.for_game(GAME, torch.Generator().manual_seed(0))
        chances = policy.probabilities([turn_of(GAME.play(START, 2))])[0]
        assert chances == pytest.approx([0 if place == 2 else 1 / 9 for place in range(10)])

    def test_what_is_not_on_the_page_is_not_seen(self) -> None:
        other = replace(START.document, targets=START.document.targets[::-1], is_true=True)
        other.__dict__.update(page=START.document.page)  # the same words of another graph
        policy = drawn()
        assert torch.equal(policy([turn_of(START)]), policy([turn_of(Position(other))]))

    def test_what_was_quoted_is_seen(self) -> None:
        policy = drawn()
        positions = [GAME.play(GAME.play(START, place), 0) for place in (1, 2)]
        one, other = policy([turn_of(position) for position in positions])[:, 3:]
        assert not torch.allclose(one, other)

    def test_turns_are_scored_alike_alone_and_together(self) -> None:
        positions = [START, GAME.play(START, 5), GAME.start(np.random.default_rng(8)), START]
        turns = [turn_of(position) for position in positions]
        policy = drawn()
        alone = torch.cat([policy([turn]) for turn in turns])
        torch.testing.assert_close(policy(turns), alone)

    def test_the_same_draws_give_the_same_weights(self) -> None:
        for name, values in drawn(1).state_dict().items():
            assert torch.equal(values, drawn(1).state_dict()[name])

    def test_a_saved_policy_plays_as_before(self, tmp_path: Path) -> None:
        policy = ReaderPolicy(width=32, word_width=8, heads=2, layers=1)
        draw_weights(policy, torch.Generator().manual_seed(0))
        policy.save(tmp_path)
        assert torch.equal(load_game_policy(tmp_path)([turn_of(START)]), policy([turn_of(START)]))

    def test_other_games_have_nothing_to_quote(self) -> None:
        with pytest.raises(LmgymError, match="nim shows no claim"):
            make_game_policy("reader", Nim(), torch.Generator())


@pytest.mark.slow
@pytest.mark.learning
def test_self_play_teaches_to_read() -> None:
    game = Debate(DebateArgs(sentences=4, distractors=2, depth=2, quotes=1, phrasings=1))
    policy = ReaderPolicy.for_game(game, torch.Generator().manual_seed(0))
    starts = [state for _, state in fixed_deals(game, 200, "test")]

    def judged_right() -> float:
        rng = np.random.default_rng(0)
        return self_play_facts(game, PolicyChooser(policy), starts, rng)["judge_correct"]

    before = judged_right()
    learner, rng = SelfPlayLearner(policy, SelfPlayArgs(lr=6e-3), 2), np.random.default_rng(0)
    arena, opponents = make_arena(game, None), Opponents(2)
    for update in range(25):
        learner.step(arena.play(policy, opponents.draw(rng, 64), rng), update / 25)
    assert judged_right() > before + 0.15


@pytest.mark.slow
@pytest.mark.learning
def test_a_critic_learns_along() -> None:
    game = Debate(DebateArgs(sentences=4, distractors=2, depth=2, quotes=1, phrasings=1))
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    learner = ReaderLearner(game, ReaderPolicy.for_game(game, generator), generator)
    losses = [
        learner.step(deal_states(game, rng, 64, "train"), update / 40)["critic_loss"]
        for update in range(40)
    ]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.2
