"""Games that language policies play: transcripts of seats, groups, forfeits, exact scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from lmgym.agents.embedded import new_policy
from lmgym.envs.kuhn_poker.rules import Hand, KuhnPoker
from lmgym.envs.nim.rules import Heaps, Nim, NimArgs
from lmgym.envs.tic_tac_toe.rules import TicTacToe
from lmgym.errors import LmgymError
from lmgym.games.collecting import GameCollector, PlayedGame, opening, rollout_batch
from lmgym.games.message_policy import MessagePolicy, information_sets
from lmgym.games.players import RandomPlayer
from lmgym.games.run import Turn
from lmgym.policies.language_policy import LanguagePolicy, Samples
from lmgym.search.exact import exploitability
from lmgym.training.batches import batch_transcripts, target_logprobs


class Scripted(LanguagePolicy):
    """A policy that writes what a function of the prompt says; each id at probability 1/2."""

    def __init__(self, write: Any) -> None:
        super().__init__(new_policy(8, 1, 0).model, new_policy(8, 1, 0).renderer)
        self.write = write
        self.asked: list[int] = []
        self.pages: list[str] = []

    def sample(self, prompts: Sequence[Sequence[int]], n: int = 1, **words: Any) -> Samples:
        self.asked.append(len(prompts))
        ids = []
        for prompt in prompts:
            self.pages.append(self.renderer.decode(prompt))
            written = self.renderer.encode(self.write(self.pages[-1]))
            ids.append([*written, self.renderer.end_id][: words["max_tokens"]])
        return Samples(ids, [[float(np.log(0.5))] * len(row) for row in ids], 0)


def play(game: Any, *lineups: Sequence[Any], seed: int = 0, **words: Any) -> list[PlayedGame]:
    generator = torch.Generator().manual_seed(seed)
    return GameCollector(game, **words).play(lineups, np.random.default_rng(seed), generator)


def checks_and_folds(page: str) -> str:
    return "check" if "check or bet" in page else "fold"


def test_a_player_reads_its_own_side_only() -> None:
    policy = Scripted(checks_and_folds)
    (game,) = play(KuhnPoker(), (policy, policy))
    first, second = (transcript for transcript in game.transcripts if transcript)
    cards = [KuhnPoker().observe(game.run.state, seat).split(".")[0] for seat in (0, 1)]
    assert first.messages[0].content.startswith(cards[0])
    assert second.messages[0].content.startswith(cards[1])
    assert all(page.count("Your card") == 1 for page in policy.pages)


def test_a_transcript_has_a_segment_for_each_message_and_what_the_seat_won() -> None:
    policy = Scripted(lambda page: "take 1 from heap 1")
    (game,) = play(Nim(NimArgs(heaps=1, most=1)), (policy, policy))
    transcript, nobody = game.transcripts
    assert nobody is None  # the game was over before its turn
    assert transcript is not None
    (segment,) = transcript.segments
    said = [i for i, is_drawn in zip(segment.ids, segment.loss_mask, strict=True) if is_drawn]
    assert policy.renderer.decode(said) == "take 1 from heap 1"
    assert segment.ids[: segment.prompt_length] == tuple(
        policy.renderer.open(opening(Turn(game.run.game, Heaps((1,), 0), 0)))[0]
    )
    assert segment.agent == "player_0"
    assert (transcript.group_id, transcript.gold_reward) == (0, 1.0)
    assert sum(segment.logprobs or ()) == pytest.approx(len(said) * np.log(0.5))


def test_all_games_are_written_in_at_once() -> None:
    policy = Scripted(checks_and_folds)
    games = play(KuhnPoker(), *[(policy, policy)] * 5)
    assert policy.asked == [5, 5]
    assert [game.run.returns for game in games].count((0.0, 0.0)) == 0


def test_an_illegal_message_is_told_and_the_second_one_forfeits() -> None:
    policy = Scripted(lambda page: "e9")
    (game,) = play(TicTacToe(), (policy, RandomPlayer()))
    assert game.run.forfeited == 0
    assert game.run.returns == (-1.0, 1.0)
    assert game.n_legal(0) == 0
    assert "no cell in 'e9'" in policy.pages[1]
    transcript = game.transcripts[0]
    assert transcript is not None
    assert len(transcript.segments) == 2


def test_a_message_that_does_not_end_forfeits() -> None:
    policy = Scripted(lambda page: "b2 b2 b2 b2")
    (game,) = play(TicTacToe(), (policy, RandomPlayer()), max_tokens=4)
    assert game.run.forfeited == 0
    assert "did not end within 4 tokens" in game.run.complaint


def test_a_guide_tells_the_rules_first() -> None:
    policy = Scripted(checks_and_folds)
    (game,) = play(KuhnPoker(), (policy, RandomPlayer()), guide=True)
    assert policy.pages[0].startswith("<|system|>Kuhn poker.")
    assert game.transcripts[0] is not None
    assert game.transcripts[0].n_opening == 2


def test_the_same_deal_is_the_same_start() -> None:
    policy = Scripted(checks_and_folds)
    collector = GameCollector(KuhnPoker())
    rng, generator = np.random.default_rng(0), torch.Generator()
    games = collector.play([(policy, policy)] * 3, rng, generator, deals=[7, 7, 7])
    assert len({game.run.state.cards for game in games}) == 1
    assert {game.deal for game in games} == {7}


def test_a_lineup_must_fill_the_seats() -> None:
    with pytest.raises(LmgymError, match="2 players, not 1"):
        play(KuhnPoker(), (RandomPlayer(),))


def test_groups_are_the_roles_or_the_roles_of_a_deal() -> None:
    policy, other = Scripted(checks_and_folds), Scripted(checks_and_folds)
    collector = GameCollector(KuhnPoker())
    lineups = [(policy, policy), (policy, policy), (policy, other)]
    games = collector.play(lineups, np.random.default_rng(0), None, deals=[3, 4, 4])
    roles = rollout_batch(games, policy)
    assert [t.group_id for t in roles.transcripts] == [0, 1, 0, 1, 0]
    deals = rollout_batch(games, policy, baseline="deal")
    assert [t.group_id for t in deals.transcripts] == [0, 1, 2, 3, 2]
    assert roles.rewards.tolist() == [
        r for g, n in zip(games, (2, 2, 1), strict=True) for r in g.run.returns[:n]
    ]
    assert len(rollout_batch(games, other).transcripts) == 1
    with pytest.raises(LmgymError, match="unknown baseline"):
        rollout_batch(games, policy, baseline="seat")  # type: ignore[arg-type]


def test_log_probabilities_are_those_of_the_policy() -> None:
    policy = new_policy(16, 1, 0)
    games = play(KuhnPoker(), *[(policy, policy)] * 4, max_tokens=6)
    batch = batch_transcripts(rollout_batch(games, policy).transcripts, policy.renderer.pad_id)
    with torch.no_grad():
        found = target_logprobs(policy, batch) * batch.target_mask
    torch.testing.assert_close(found, batch.target_logprobs, atol=1e-4, rtol=0)


def test_information_sets_are_what_movers_know() -> None:
    states = information_sets(KuhnPoker())
    assert states is not None
    known = {KuhnPoker().observe(s, len(s.path) % 2) for s in states}
    assert len(states) == len(known) == 12
    assert information_sets(Nim()) is None
    assert information_sets(TicTacToe(), most=100) is None
    sets = information_sets(Nim(NimArgs(2, 2)), [(1.0, Heaps((2, 2), 0))])
    assert sets is not None
    assert all(any(state.sizes) for state in sets)


def test_a_policy_is_scored_as_it_writes() -> None:
    policy = new_policy(16, 1, 0)
    message = MessagePolicy(policy, KuhnPoker())
    state = Hand((2, 0), "")
    prompt, _ = policy.renderer.open(opening(Turn(KuhnPoker(), state, 0)))
    expected = []
    for word in ("check", "bet"):
        ids = torch.tensor([[*prompt, *policy.renderer.encode(word), policy.renderer.end_id]])
        with torch.no_grad():
            scored = policy.token_logprobs(ids, torch.ones_like(ids), first=len(prompt))
        expected.append(float(scored.sum().exp()))
    found = message(state)
    np.testing.assert_allclose(found, np.array(expected) / sum(expected), rtol=1e-4)
    assert message.coverage == pytest.approx(sum(expected), rel=1e-4)


def test_many_states_are_scored_as_one_is() -> None:
    policy, states = new_policy(16, 1, 0), information_sets(KuhnPoker())
    assert states is not None
    together, alone = MessagePolicy(policy, KuhnPoker()), MessagePolicy(policy, KuhnPoker())
    together.read(states)
    for state in states:
        np.testing.assert_allclose(together(state), alone(state), rtol=1e-3)
    assert exploitability(KuhnPoker(), together) > 0


def test_a_coverage_of_nothing_is_refused() -> None:
    with pytest.raises(LmgymError, match="no state"):
        _ = MessagePolicy(new_policy(8, 1, 0), KuhnPoker()).coverage
