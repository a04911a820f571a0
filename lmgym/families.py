"""Worlds that are alike but for a name, registered without a spec for each.

A family stands for many worlds at once: its members are known to gymnasium by their ids, and the
spec of one is made when it is looked up, so that a hundred worlds cost an import next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym

from lmgym.registry import FAMILIES, WorldSpec

__all__ = ["MINIWOB", "WorldFamily", "register_family"]


@dataclass(frozen=True)
class WorldFamily:
    """Worlds whose ids differ in a name.

    Attributes:
        id: with {} where the name stands.
        members: the names.
        module: where the tasks are found, each under its name with "_" for other characters.
        summary: one line.
        requires: the extra of the package that all of them need.
        nondeterministic: members that do not come out the same for the same seed and actions.

    Example:
        >>> MINIWOB.spec_of("lmgym/MiniWoB-click-test-v0").task
        'lmgym.envs.miniwob_tasks.worlds:click_test'
        >>> MINIWOB.spec_of("lmgym/MiniWoB-click-tst-v0") is None
        True
    """

    id: str
    members: tuple[str, ...]
    module: str
    summary: str
    requires: str = ""
    nondeterministic: tuple[str, ...] = ()

    @property
    def ids(self) -> list[str]:
        """The ids of all members."""
        return [self.id.format(member) for member in self.members]

    def spec_of(self, world: str) -> WorldSpec | None:
        """The spec of a member by its id; None for other worlds."""
        start, _, end = self.id.partition("{}")
        member = world.removeprefix(start).removesuffix(end)
        if member not in self.members or self.id.format(member) != world:
            return None
        attribute = "".join(c if c.isalnum() else "_" for c in member)
        return WorldSpec(
            world,
            f"{self.module}:{attribute}",
            self.summary.format(member),
            has_gold=False,
            requires=self.requires,
        )


_MINIWOB_TASKS = """
    ascending-numbers bisect-angle book-flight book-flight-nodelay buy-ticket choose-date
    choose-date-easy choose-date-medium choose-date-nodelay choose-list circle-center
    click-button click-button-sequence click-checkboxes click-checkboxes-large
    click-checkboxes-soft click-checkboxes-transfer click-collapsible click-collapsible-2
    click-collapsible-2-nodelay click-collapsible-nodelay click-color click-dialog
    click-dialog-2 click-link click-menu click-menu-2 click-option click-pie click-pie-nodelay
    click-scroll-list click-shades click-shape click-tab click-tab-2 click-tab-2-easy
    click-tab-2-hard click-tab-2-medium click-test click-test-2 click-test-transfer click-widget
    copy-paste copy-paste-2 count-shape count-sides daily-calendar drag-box drag-circle
    drag-cube drag-items drag-items-grid drag-shapes drag-shapes-2 drag-single-shape
    drag-sort-numbers draw-circle draw-line email-inbox email-inbox-delete email-inbox-forward
    email-inbox-forward-nl email-inbox-forward-nl-turk email-inbox-important email-inbox-nl-turk
    email-inbox-noscroll email-inbox-reply email-inbox-star-reply enter-date enter-password
    enter-text enter-text-2 enter-text-dynamic enter-time find-greatest find-midpoint find-word
    flight.AA flight.Alaska flight.Alaska-auto focus-text focus-text-2 form-sequence
    form-sequence-2 form-sequence-3 generate-number grid-coordinate guess-number highlight-text
    highlight-text-2 hot-cold identify-shape login-user login-user-popup multi-layouts
    multi-orderings navigate-tree number-checkboxes odd-or-even order-food phone-book read-table
    read-table-2 resize-textarea right-angle scroll-text scroll-text-2 search-engine
    sign-agreement simple-algebra simple-arithmetic social-media social-media-all
    social-media-some stock-market terminal text-editor text-transform tic-tac-toe unicode-test
    use-autocomplete use-autocomplete-nodelay use-colorwheel use-colorwheel-2 use-slider
    use-slider-2 use-spinner visual-addition
"""

MINIWOB = WorldFamily(
    "lmgym/MiniWoB-{}-v0",
    tuple(_MINIWOB_TASKS.split()),
    "lmgym.envs.miniwob_tasks.worlds",
    "{} of MiniWoB++: small web pages in a real browser, driven by text commands.",
    requires="miniwob",
    nondeterministic=("flight.AA", "flight.Alaska", "flight.Alaska-auto"),
)
"""The tasks that miniwob 1.1 registers."""


def register_family(family: WorldFamily) -> None:
    """Make the members of a family known here and to gymnasium."""
    FAMILIES[family.id] = family
    for member, world in zip(family.members, family.ids, strict=True):
        if world not in gym.registry:
            gym.register(
                world,
                "lmgym.factory:make_env",
                vector_entry_point="lmgym.factory:make_vector_env",
                nondeterministic=member in family.nondeterministic,
                kwargs={"world": world},
            )
