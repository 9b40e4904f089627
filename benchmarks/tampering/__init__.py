"""Seals changed at random: each change is refused, or shown to be harmless."""
