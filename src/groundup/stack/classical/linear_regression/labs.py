"""Labs of linear_regression: the CPU of a pod, from data that you can change, and the prices of houses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.linear_regression import Lasso, LinearRegression, Ridge, diagnostics


@dataclass(frozen=True)
class PodCpuConfig:
    """Settings of the pod lab: how the pod behaves, and what the model sees of it.

    Attributes:
        seed: seed of the traffic and of the noise.
        weeks: weeks of data, a row every ten minutes; the last third tests.
        requests: requests in a busy minute.
        cost: millicores that a request a minute takes.
        idle: millicores without any request.
        batch: millicores of a job that runs every night from two to four.
        weekend: traffic of a Saturday and a Sunday as a share of a weekday's.
        noise: standard deviation of what nothing explains, in millicores.
        hour: the hour as 24 columns, or as one number.
        drift: share by which a request gets dearer in the weeks that test, as after a deploy.
        shuffle_targets: permute the training targets, which leaves nothing to learn.
    """

    seed: int = 0
    weeks: int = 6
    requests: float = 600.0
    cost: float = 0.5
    idle: float = 120.0
    batch: float = 180.0
    weekend: float = 0.4
    noise: float = 25.0
    hour: Literal["columns", "number"] = "columns"
    drift: float = 0.0
    shuffle_targets: bool = False


@lab(
    title="Predict a pod's CPU",
    question="How well do requests, hour and weekday predict a pod's CPU, which of them matters, and what breaks it?",
    presets={"smoke": {}, "laptop": {"weeks": 26}, "full": {"weeks": 104}},
    expectations=[
        expect("rmse", beats_baseline_by=50, lower_is_better=True, why="The mean of the past knows no traffic."),
        expect("excess", at_most=3, why="No model errs less than the noise; a line that fits errs hardly more."),
        expect("peer_gap", at_most=1e-6, why="scikit-learn fits the same line, so the predictions agree."),
    ],
    sabotage=[{"hour": "number"}, {"drift": 0.3}, {"shuffle_targets": True}],
)
def pod_cpu(config: PodCpuConfig, record: Recorder) -> None:
    """Generate weeks of traffic and CPU, fit the first two thirds, and predict the last, in millicores."""
    from sklearn import linear_model

    rng = np.random.default_rng(config.seed)
    minutes = np.arange(config.weeks * 7 * 144) * 10
    hour, weekday = minutes // 60 % 24, minutes // 1440 % 7
    testing = minutes >= minutes[-1] * 2 / 3
    shape = 0.15 + 0.85 * np.sin(np.pi * (hour + minutes % 60 / 60) / 24) ** 2
    share = np.where(weekday >= 5, config.weekend, 1.0)
    requests = config.requests * shape * share * rng.lognormal(sigma=0.3, size=len(minutes))
    cost = config.cost * np.where(testing, 1 + config.drift, 1.0)
    nightly = config.batch * ((hour >= 2) & (hour < 4))
    cpu = config.idle + cost * requests + nightly + config.noise * rng.normal(size=len(minutes))

    inputs = {
        "requests": requests[:, None],
        "hour": _columns(hour, 24) if config.hour == "columns" else hour[:, None],
        "weekday": _columns(weekday, 7),
    }
    target = rng.permutation(cpu[~testing]) if config.shuffle_targets else cpu[~testing]
    rows = [{"inputs": "none, the mean", "rmse": _rmse(cpu[testing], target.mean())}]
    for left_out in record.progress(inputs, label="inputs"):
        X = np.column_stack([columns for name, columns in inputs.items() if name != left_out])
        without = LinearRegression().fit(X[~testing], target).predict(X[testing])
        rows.append({"inputs": f"without {left_out}", "rmse": _rmse(cpu[testing], without)})
    X = np.column_stack(list(inputs.values()))
    said = LinearRegression().fit(X[~testing], target).predict(X[testing])
    rows.append({"inputs": "all three", "rmse": _rmse(cpu[testing], said)})
    record.table("error by inputs, millicores", rows)
    fit = diagnostics(X[~testing], target)
    effects = zip(
        ("idle, at midnight on Monday", "a request a minute"), fit.coefficients, fit.standard_errors, strict=False
    )
    record.table("effects", [{"of": name, "millicores": float(b), "±": float(2 * error)} for name, b, error in effects])
    peer = linear_model.LinearRegression().fit(X[~testing], target).predict(X[testing])
    record.baseline("rmse", rows[0]["rmse"], "the mean of the training weeks")
    record.result("rmse", rows[-1]["rmse"])
    record.baseline("excess", 0.0, "the noise itself")
    record.result("excess", rows[-1]["rmse"] - config.noise)
    record.baseline("peer_gap", 0.0, "scikit-learn's LinearRegression")
    record.result("peer_gap", float(np.abs(peer - said).max()))


def _columns(values: np.ndarray, count: int) -> np.ndarray:
    """A column of zeros and ones for each value but the first, which the intercept stands for."""
    return (values[:, None] == np.arange(1, count)).astype(float)


def _rmse(target: np.ndarray, predictions: np.ndarray) -> float:
    return float(np.sqrt(np.mean((target - predictions) ** 2)))


@dataclass(frozen=True)
class HousePricesConfig:
    """Settings of the house-price lab.

    Attributes:
        seed: seed of the splits.
        alpha: strength of ridge's penalty.
        lasso_alpha: strength of the lasso's penalty.
        test_share: share of the rows that test.
        shuffle_targets: permute the training targets, which leaves nothing to learn.
    """

    seed: int = 0
    alpha: float = 10.0
    lasso_alpha: float = 0.003
    test_share: float = 0.25
    shuffle_targets: bool = False


@lab(
    title="Prices of houses",
    question="How far does a line get on house prices, and what do ridge and lasso change?",
    data=["ames_housing", "california_housing"],
    presets={"smoke": {}, "laptop": {"test_share": 0.5}, "full": {"test_share": 0.5, "lasso_alpha": 0.001}},
    expectations=[
        expect("ames_r2", beats_baseline_by=0.5, why="Most of the spread of prices is in the columns."),
        expect(
            "california_r2", beats_baseline_by=0.4, why="Income and place say much of what a district's houses cost."
        ),
        expect("peer_gap", at_most=1e-6, why="scikit-learn fits the same line, so the predictions agree."),
    ],
    sabotage=[{"shuffle_targets": True}],
)
def house_prices(config: HousePricesConfig, record: Recorder) -> None:
    """Fit the logarithm of the price of Ames's houses and of California's districts, beside the mean and scikit-learn.

    What fills gaps and what standardises is learned from the training rows.
    """
    from sklearn import linear_model

    from groundup.data import load

    gaps = []
    for place, price in record.progress([("ames", "SalePrice"), ("california", "median_house_value")], label="places"):
        houses, rng = load(f"{place}_housing"), np.random.default_rng(config.seed)
        y = np.log(houses[price])
        order, cut = rng.permutation(len(y)), round(config.test_share * len(y))
        testing, training = order[:cut], order[cut:]
        X, names = _encode({name: values for name, values in houses.columns.items() if name != price}, training)
        target = rng.permutation(y[training]) if config.shuffle_targets else y[training]
        lasso = Lasso(config.lasso_alpha)
        models = {
            "least squares": LinearRegression(),
            "ridge": Ridge(config.alpha),
            "lasso": lasso,
            "scikit-learn's": linear_model.LinearRegression(),
        }
        rows, said = [_judged("the mean", y[testing], np.full(cut, target.mean()), 0)], {}
        for name, model in models.items():
            said[name] = model.fit(X[training], target).predict(X[testing])
            rows.append(_judged(name, y[testing], said[name], int(np.count_nonzero(model.coef_))))
        record.table(f"unseen houses, {place}", rows)
        effects = [{"column": names[j], "effect": float(lasso.coef_[j])} for j in np.argsort(-np.abs(lasso.coef_))[:8]]
        record.table(f"what the lasso leans on, {place}", effects)
        record.baseline(f"{place}_r2", rows[0]["R²"], "the mean of the training prices")
        record.result(f"{place}_r2", rows[1]["R²"])
        gaps.append(float(np.abs(said["least squares"] - said["scikit-learn's"]).max()))
    record.baseline("peer_gap", 0.0, "scikit-learn's LinearRegression")
    record.result("peer_gap", max(gaps))


def _encode(columns: dict[str, np.ndarray], training: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Numbers with medians for gaps, standardised; a column of zeros and ones for each text but the commonest."""
    parts, names = [], []
    for name, values in columns.items():
        if values.dtype.kind in "US":
            kinds, counts = np.unique(values[training], return_counts=True)
            kinds = kinds[np.argsort(-counts)][1:]
            parts.append((values[:, None] == kinds).astype(float))
            names += [f"{name}: {kind or 'unknown'}" for kind in kinds]
        else:
            filled = np.where(np.isnan(values), np.nanmedian(values[training]), values)
            spread = filled[training].std()
            parts.append(((filled - filled[training].mean()) / (spread if spread > 0 else 1.0))[:, None])
            names.append(name)
    return np.hstack(parts), names


def _judged(model: str, y: np.ndarray, predictions: np.ndarray, used: int) -> dict[str, Any]:
    errors = y - predictions
    r2 = 1 - np.sum(errors**2) / np.sum((y - y.mean()) ** 2)
    off = float(np.median(np.abs(np.expm1(-errors)))) * 100
    return {"model": model, "columns used": used, "R²": float(r2), "median error, %": off}
