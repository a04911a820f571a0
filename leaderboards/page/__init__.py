"""The page of a board: one HTML file, for people."""

from .page import render_page, write_page

__all__ = ["render_page", "write_page"]
