"""Experiments, groups and runs for any training loop: hooks go in, events in the journal come out."""

from evsys_otel.recorder.experiment import Experiment, Group
from evsys_otel.recorder.run import Run
from evsys_otel.recorder.start import flush, resume_run, start_experiment, start_run

__all__ = ["Experiment", "Group", "Run", "flush", "resume_run", "start_experiment", "start_run"]
