"""Figures of merit: pure functions of scores and truth, one file for each kind of answer."""
