"""Bayesian inference: Bayes' rule, conjugate posteriors, credible intervals, and draws by two samplers."""

from groundup.stack.bedrock.bayes.bayes import (
    Belief,
    Beta,
    Chain,
    Gamma,
    NormalMean,
    calibration_ranks,
    effective_sample_size,
    expected_loss,
    hamiltonian,
    leapfrog,
    metropolis,
    probability_above,
    shortest_interval,
    split_r_hat,
    update,
)

__all__ = [
    "Belief",
    "Beta",
    "Chain",
    "Gamma",
    "NormalMean",
    "calibration_ranks",
    "effective_sample_size",
    "expected_loss",
    "hamiltonian",
    "leapfrog",
    "metropolis",
    "probability_above",
    "shortest_interval",
    "split_r_hat",
    "update",
]
