"""The families of sites by name, and sites by their seed."""

from __future__ import annotations

from functools import lru_cache

from lmgym.errors import unknown

from .base_site import Site
from .sites.agenda import CalendarSite
from .sites.files import FilesSite
from .sites.forms import FormsSite
from .sites.mail import MailSite
from .sites.shop import ShopSite
from .sites.table import TableSite
from .wording import Wording

__all__ = ["FAMILIES", "make_site"]

FAMILIES: dict[str, type[Site]] = {
    site.family: site
    for site in (FormsSite, ShopSite, MailSite, CalendarSite, TableSite, FilesSite)
}
"""Classes of sites by the name of the family."""


@lru_cache(maxsize=1024)
def make_site(family: str, seed: int, *, is_held_out: bool = False) -> Site:
    """A site; the same arguments make the same one, in every process.

    Example:
        >>> make_site("shop", 0).family
        'shop'
    """
    if family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    return FAMILIES[family](Wording(seed, is_held_out=is_held_out))
