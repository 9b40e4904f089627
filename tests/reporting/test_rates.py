from signet.reporting import RateTrial, rates_page, render
from signet.reporting.page import Curves, Table

RATES = tuple(10.0 ** (-6 + place / 10) for place in range(61))


def trial(**fields):
    values = {
        "model": "m",
        "dataset": "birds/<b>",
        "head_rates": RATES,
        "backbone_rates": tuple(rate / 10 for rate in RATES),
        "losses": tuple(2.0 - place / 50 for place in range(61)),
        "suggested": 30,
    }
    return RateTrial(**{**values, **fields})


def test_the_suggestion_is_said_and_the_curve_is_over_powers_of_ten():
    page = rates_page(trial())
    assert page.summary == "Suggested: head_rate = 1.0e-03, backbone_rate = 1.0e-04."
    curves, table = page.sections
    assert isinstance(curves, Curves)
    assert round(curves.steps[0], 6) == -6
    assert round(curves.steps[-1], 6) == 0
    whole, near = (panel.lines[0].values for panel in curves.panels)
    assert whole == near  # it falls all the way
    assert isinstance(table, Table)
    assert table.rows[0] == ("1.00e-06", "1.00e-07", "2.0000")
    assert table.rows[-1][0] == "1.00e+00"
    assert len(table.rows) < 25
    html = render(page)
    assert "&lt;b&gt;" in html
    assert "head_rate = 1.0e-03" in html


def test_what_blows_up_is_left_out_of_the_second_panel():
    losses = (*(2.0 - place / 50 for place in range(50)), *(4.0 * place for place in range(1, 12)))
    whole, near = (panel.lines[0].values for panel in rates_page(trial(losses=losses)).sections[0].panels)
    assert whole == losses
    assert near[:50] == losses[:50]
    assert set(near[50:]) == {None}


def test_a_frozen_backbone_and_a_loss_that_never_fell_are_said():
    assert trial(backbone_rates=(0.0,) * 61).words == "Suggested: head_rate = 1.0e-03."
    assert "never fell: no rate is suggested" in rates_page(trial(suggested=None)).summary
