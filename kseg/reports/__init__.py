"""What people read of a network: the scores of `evaluate`, and a run's page and model card."""

from kseg.reports.evaluate import evaluate, measures_for, usual_measures
from kseg.reports.report import Report

__all__ = ["Report", "evaluate", "measures_for", "usual_measures"]
