"""What calls cost: prices from a file, sums by report, model and purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from groundup.cli import cli
from groundup.errors import UsageError
from groundup.systems.research.costs import costs
from groundup.systems.research.prices import Price, Prices, read_prices
from groundup.systems.research.state import Budget, Cost
from tests.systems.research.conftest import Opened
from tests.systems.research.models import Scripted, saying

QUESTION = "What is an idempotency key?"


def model(**usage: Any) -> Scripted:
    counted = {"input_tokens": 900, "output_tokens": 100, "total_tokens": 1000, **usage}
    return saying("What is an idempotency key?", "nothing", usage=counted)


def test_tokens_that_the_provider_had_cached_cost_their_own_price():
    cost = Cost(
        purpose="read", model="m", tokens_in=1_000_000, cached=400_000, tokens_out=500_000, counted=True, seconds=1.0
    )
    assert Price(10.0, 1.0, 20.0).of(cost) == 6.0 + 0.4 + 10.0


def test_calls_are_summed_by_report_model_and_purpose(opened: Opened, tmp_path: Path):
    prices = tmp_path / "prices.toml"
    prices.write_text("[models.scripted]\nin = 1.0\nout = 10.0\n")
    scripted = model(input_token_details={"cache_read": 300})
    with opened(scripted) as research:
        first, second = (research.begin(QUESTION, model="scripted") for _ in range(2))
        list(research.run(first))
        list(research.run(second, until="plan"))
        table = costs(research, read_prices(prices))
        assert {row.report for row in table.rows} == {first, second}
        (planned,) = [row for row in table.rows if row.report == second]
        assert (planned.purpose, planned.calls, planned.tokens_in, planned.cached) == ("plan", 1, 900, 300)
        assert planned.money == pytest.approx((900 * 1.0 + 100 * 10.0) / 1e6), "cached costs as much where not said"
        of_first = costs(research, report=first)
        assert of_first.currency == ""
        assert all(row.money is None and row.report == first for row in of_first.rows)
        assert sum(row.calls for row in of_first.rows) == len(scripted.sent) - 1
    out = CliRunner().invoke(
        cli, ["research", "costs", "--store", str(tmp_path / "research.sqlite"), "--prices", str(prices), "--json"]
    )
    assert out.exit_code == 0, out.output
    printed = json.loads(out.output)
    assert printed["currency"] == "USD"
    assert sum(row["tokens_in"] for row in printed["rows"]) == 900 * len(scripted.sent)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("models = 3", "a table for each model"),
        ("[models]", "a table for each model"),
        ('[models."a"]\nin = -1\nout = 1', "must have `in`, 0 or more"),
        ('[models."a"]\nin = 1', "must have `out`, 0 or more"),
        ('[models."a"]\nin = true\nout = 1', "got True"),
        ('[models."a"]\nin = inf\nout = 1', "got inf"),
        ('[models."a"]\nin = 1\nout = 1\ncashed = 1', "got 'cashed'"),
        ("[models", "cannot be read"),
        ("price = 1\n[models.a]\nin = 1\nout = 1", "has price"),
    ],
)
def test_bad_prices_are_refused(tmp_path: Path, text: str, rule: str):
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_prices(path)
    assert rule in str(refused.value)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_prices(tmp_path / "none.toml")


# ── a limit of money ────────────────────────────────────────────────────────────────────────────────────────────────
PRICES = Prices("EUR", {"scripted": Price(1_000.0, 100.0, 1_000.0)})  # 1 for a call of `model`
TWICE = "Why do retries harm an overloaded server, and how does a circuit breaker protect the caller?"


def test_a_limit_of_money_ends_the_search_and_holds_after_a_stop(opened: Opened) -> None:
    reply = "A retry does harm when the server is overloaded: each client sends more of what it cannot serve [1]."
    usage = {"input_tokens": 900, "output_tokens": 100, "total_tokens": 1000}
    with opened(saying("", reply, reply, usage=usage)) as research:
        id = research.begin(TWICE, Budget(money=2.0, prices=PRICES))
        list(research.run(id, until="retrieve"))
    with opened(saying("", reply, reply, usage=usage)) as research:
        list(research.run(id))
        report = research.report(id)
        assert research.budget(id) == Budget(money=2.0, prices=PRICES)
    assert report.stopped == "2 EUR"
    assert [cost["purpose"] for cost in report.costs] == ["plan", "read for 1"], "nothing is spent beyond"
    assert report.gaps[-1] == "How does a circuit breaker protect the caller?"


def test_a_limit_of_money_needs_the_price_of_the_model(opened: Opened) -> None:
    with pytest.raises(UsageError, match="money must come with prices, got 2 without. Name them with --prices FILE"):
        Budget(money=2.0)
    with pytest.raises(UsageError, match="money must be more than 0, got 0"):
        Budget(money=0, prices=PRICES)
    with opened(model()) as research:
        id = research.begin(TWICE, Budget(money=2.0, prices=PRICES))
    with opened() as research:
        for refused in (lambda: research.begin(TWICE, Budget(money=2.0, prices=PRICES)), lambda: [*research.run(id)]):
            with pytest.raises(UsageError, match="prices must have the model 'embedded' .*, and have scripted. Add it"):
                refused()
        assert [run.id for run in research.runs()] == [id]
    with opened(model()) as research:
        assert [*research.run(id)]


def test_money_is_limited_on_the_command_line(location: Path, tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('currency = "EUR"\n[models."embedded"]\nin = 1000.0\nout = 1000.0\n', encoding="utf-8")
    ask = ["research", "ask", TWICE, "--knowledge", str(location), "--store", str(tmp_path / "r.sqlite"), "--json"]
    ran = CliRunner().invoke(cli, [*ask, "--money", "0.1", "--prices", str(prices)])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["stopped"] == "0.1 EUR"
    ran = CliRunner().invoke(cli, [*ask, "--money", "0.1"])
    assert "money must come with prices" in str(ran.exception)
