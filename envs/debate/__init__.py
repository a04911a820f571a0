"""Debate about a document: quotes decide, and there is a truth to measure them by."""
