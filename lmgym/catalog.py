"""The worlds that come with the package."""

from lmgym.families import MINIWOB, register_family
from lmgym.registry import FAMILIES, LEVELS, WORLDS, WorldSpec, register_world

__all__ = ["register_all"]

_WORLDS = (
    WorldSpec(
        "lmgym/Math-v0",
        "lmgym.envs.math_problems.task:MathTask",
        "Solve a mathematical problem; the answer is verified exactly.",
        baselines={
            "random tokens": "0.000",
            "embedded policy, greedy": "0.379 [0.332, 0.429]",
            "the same after `lmgym train` (64 s), greedy, mean of 5 seeds": "0.994 ± 0.005",
            "demonstrations": "1.000",
        },
    ),
    WorldSpec(
        "lmgym/Copy-v0",
        "lmgym.envs.copy_text.task:CopyTask",
        "Repeat the text: a diagnostic world with a known optimum.",
        baselines={
            "random tokens": "0.000",
            "embedded policy, greedy": "0.990 [0.977, 0.996]",
            "demonstrations (the optimum)": "1.000",
        },
    ),
    WorldSpec(
        "lmgym/GuessNumber-v0",
        "lmgym.envs.guess_number.task:GuessNumberTask",
        "Find a number in several turns: higher or lower.",
        baselines={
            "random tokens": "0.002",
            "embedded policy, greedy": "0.545 [0.280, 0.787]",
            "demonstrations (bisection)": "1.000",
        },
    ),
    WorldSpec(
        "lmgym/ToolMath-v0",
        "lmgym.envs.tool_math.task:ToolMathTask",
        "Work out an expression; a calculator may be called before the answer.",
        baselines={
            "random tokens": "0.000",
            "embedded policy, greedy": "0.000 [0.000, 0.009]",
            "after demonstrations (`lmgym train sft`, 600 updates)": "0.735 [0.692, 0.774]",
            "demonstrations": "1.000",
        },
    ),
    WorldSpec(
        "lmgym/Preference-v0",
        "lmgym.envs.preference.task:PreferenceTask",
        "Write what a hidden taste prefers; a learner paid by a model of it over-optimises.",
        has_gold=False,
        baselines={
            "random tokens": "0.014",
            "embedded policy, greedy": "0.252 [0.216, 0.291], gold 0.50",
            "embedded policy, sampled": "0.203 [0.170, 0.240], gold 0.37",
            "after imitation (`lmgym train sft`, 60 s), greedy": "0.504 [0.461, 0.547], gold 1.56",
            "after imitation, sampled": "0.334 [0.295, 0.376], gold 0.85",
            "demonstrations": "0.473 [0.430, 0.516], gold 1.40",
        },
    ),
    WorldSpec(
        "lmgym/PromptSelect-v0",
        "lmgym.envs.prompt_select.task:PromptSelectTask",
        "Choose the prompt under which a question is answered right, from a log of real outcomes.",
        levels=(*LEVELS, "choice"),
        baselines={
            "random tokens": "0.000",
            "embedded policy, greedy": "0.000 [0.000, 0.039]",
            "a random prompt": "0.418",
            "the best prompt of the training questions": "0.489",
            "offline, a logistic model a prompt on hashed n-grams": "0.926 [0.854, 0.963]",
            "demonstrations": "1.000",
        },
    ),
    WorldSpec(
        "lmgym/Web-v0",
        "lmgym.envs.web.task:WebTask",
        "Do on a web site what an instruction asks for, and nothing else.",
        baselines={
            "embedded policy, greedy": "0.000 [0.000, 0.057]",
            "random commands of the site's list": "0.012 [0.005, 0.025]",
            "one site, `lmgym train her --relabel none`, 240 s": "0.090 [0.07, 0.11]",
            "one site, `lmgym train her`, 240 s": "0.987 [0.95, 1.00]",
            "the same, split comp": "0.717 [0.19, 1.00]",
            "demonstrations": "1.000",
        },
        has_goals=True,
    ),
    WorldSpec(
        "lmgym/WebGoal-v0",
        "lmgym.envs.web.goal_task:WebGoalTask",
        "Bring a web site into a state, as a vector of facts: for hindsight experience replay.",
        baselines={
            "shop, difficulty 3, `lmgym train her --relabel none`": "0.079 [0.03, 0.13]",
            "shop, difficulty 3, DQN and HER of Stable-Baselines3": "0.261 [0.16, 0.36]",
            "shop, difficulty 3, `lmgym train her`, 40,000 commands": "0.991 [0.98, 1.00]",
            "the same, split comp": "0.952 [0.92, 0.99]",
            "forms, difficulty 3, `lmgym train her`, 40,000 commands": "0.988 [0.98, 1.00]",
            "the same for forms, split comp": "0.968 [0.96, 0.98]",
        },
        levels=("goal",),
        defaults={"level": "goal", "reward": "sparse"},
        has_goals=True,
    ),
    WorldSpec(
        "lmgym/Debate-v0",
        "lmgym.envs.debate.task:DebateTask",
        "Debate about a document by quoting it, before a judge who sees the quotes alone.",
        levels=(*LEVELS, "choice"),
        has_gold=False,
        baselines={
            "random moves, against random ones": "0.499 [0.477, 0.521]",
            "best moves, against random ones": "0.725 [0.705, 0.744]",
            "`lmgym train self-play`, 12,800 games, against random moves": "0.798 [0.785, 0.812]",
        },
        multi_agent="lmgym.envs.debate.debate_v0",
    ),
    WorldSpec(
        "lmgym/KuhnPoker-v0",
        "lmgym.envs.kuhn_poker.task:KuhnPokerTask",
        "Poker with three cards and one bet: the smallest game in which bluffing pays.",
        levels=(*LEVELS, "choice"),
        has_gold=False,
        baselines={
            "random moves, against random ones": "0.495 [0.473, 0.517]",
        },
        multi_agent="lmgym.envs.kuhn_poker.kuhn_poker_v0",
    ),
    WorldSpec(
        "lmgym/Nim-v0",
        "lmgym.envs.nim.task:NimTask",
        "Take matches from one heap; whoever takes the last match wins.",
        levels=(*LEVELS, "choice"),
        has_gold=False,
        baselines={
            "random moves, against random ones": "0.519 [0.498, 0.541]",
            "best moves, against random ones": "0.990 [0.985, 0.994]",
        },
        multi_agent="lmgym.envs.nim.nim_v0",
    ),
    WorldSpec(
        "lmgym/TicTacToe-v0",
        "lmgym.envs.tic_tac_toe.task:TicTacToeTask",
        "Three in a row wins; a full board is a draw.",
        levels=(*LEVELS, "choice"),
        has_gold=False,
        baselines={
            "random moves, against random ones": "0.428 [0.406, 0.450]",
            "best moves, against random ones": "0.901 [0.888, 0.914]",
        },
        multi_agent="lmgym.envs.tic_tac_toe.tic_tac_toe_v0",
    ),
    WorldSpec(
        "lmgym/MatchingPennies-v0",
        "lmgym.envs.matching_pennies.task:MatchingPenniesTask",
        "Show heads or tails at once, again and again; one wants equal sides, the other different.",
        levels=(*LEVELS, "choice"),
        has_gold=False,
        baselines={
            "random moves, against random ones": "0.497 [0.475, 0.519]",
        },
        multi_agent="lmgym.envs.matching_pennies.matching_pennies_v0",
        is_simultaneous=True,
    ),
    WorldSpec(
        "lmgym/Taboo-v0",
        "lmgym.envs.taboo.task:TabooTask",
        "Make the other say a word that only you know, and never say it yourself.",
        levels=(*LEVELS, "choice"),
        has_gold=False,
        baselines={
            "random moves, against random ones": "0.494 [0.472, 0.516]",
        },
        multi_agent="lmgym.envs.taboo.taboo_v0",
    ),
    WorldSpec(
        "lmgym/Negotiation-v0",
        "lmgym.envs.negotiation.task:NegotiationTask",
        "Divide items, and nobody knows what they are worth to the other.",
        levels=(*LEVELS, "choice"),
        has_gold=False,
        baselines={
            "random moves, against random ones": "0.188 [0.171, 0.205]",
        },
        multi_agent="lmgym.envs.negotiation.negotiation_v0",
    ),
)


def register_all() -> None:
    """Make the worlds known, once."""
    for spec in _WORLDS:
        if spec.id not in WORLDS:
            register_world(spec)
    if MINIWOB.id not in FAMILIES:
        register_family(MINIWOB)
