"""Results as pages: one self-contained HTML file that needs no network. Needs the extra `fit` (Jinja)."""

from signet.reporting.demonstration import Act, demonstration_page
from signet.reporting.evaluation import evaluation_page
from signet.reporting.finetuning import Story, finetuning_page
from signet.reporting.page import Page
from signet.reporting.rendering import render

__all__ = ["Act", "Page", "Story", "demonstration_page", "evaluation_page", "finetuning_page", "render"]
