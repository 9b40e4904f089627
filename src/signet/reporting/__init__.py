"""Results as pages: one self-contained HTML file that needs no network. Needs the extra `fit` (Jinja)."""

from signet.reporting.auditing import audit_page
from signet.reporting.choosing import choice_page
from signet.reporting.comparing import comparison_page
from signet.reporting.demonstration import Act, demonstration_page
from signet.reporting.evaluation import evaluation_page
from signet.reporting.finetuning import Story, finetuning_page
from signet.reporting.page import Page
from signet.reporting.rates import RateTrial, rates_page
from signet.reporting.rendering import render
from signet.reporting.verifying import verdict_page

__all__ = [
    "Act",
    "Page",
    "RateTrial",
    "Story",
    "audit_page",
    "choice_page",
    "comparison_page",
    "demonstration_page",
    "evaluation_page",
    "finetuning_page",
    "rates_page",
    "render",
    "verdict_page",
]
