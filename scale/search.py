"""Work on a study that other processes work on too: ``python -m scale.search JOURNAL --run JSON --trials 12``.

The study lives in one file that all of them append to. Start as many processes as there are cores or machines, at any time;
kill any of them at any time. The next one to start finds trials whose process is gone and queues their settings anew.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
from dataclasses import replace

import optuna
import psutil
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState


def open_study(journal: str, seed: int = 0) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=4, constant_liar=True)
    return optuna.create_study(
        study_name="rate",
        storage=JournalStorage(JournalFileBackend(str(journal))),
        sampler=sampler,
        load_if_exists=True,
    )


def owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def requeue(study: optuna.Study) -> list[int]:
    """Numbers of the trials that a dead process of this machine had begun; their settings are queued anew, once.

    Settings whose process died twice may be what kills it, for instance by the memory that they need. Where several
    processes find the same trial, the one that ends it first queues it, and has its number.
    """
    lost = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        host, _, process = trial.user_attrs.get("owner", "").partition(":")
        if host != socket.gethostname() or psutil.pid_exists(int(process)):
            continue
        try:
            study.tell(trial.number, state=TrialState.FAIL)
        except (ValueError, UpdateFinishedTrialError):  # before tell looked, or while it wrote
            continue
        if "again" not in trial.user_attrs:
            study.enqueue_trial(trial.params, user_attrs={"again": trial.number})
            lost.append(trial.number)
    return lost


def finished(study: optuna.Study) -> dict[int, float]:
    """Number -> value of every trial that is complete."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return {trial.number: trial.value for trial in trials}


def work_left(study: optuna.Study, trials: int) -> bool:
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return len(finished(study)) < trials or bool(waiting)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scale.search", description=__doc__)
    parser.add_argument("journal")
    parser.add_argument("--run", required=True, help="fields of scale.train.Run as JSON")
    parser.add_argument("--trials", type=int, required=True, help="in all, over all processes")
    parser.add_argument("--seed", type=int, default=0, help="another one for each process")
    arguments = parser.parse_args()

    import torch

    from scale.train import Run, train

    torch.set_num_threads(1)
    run = Run(**json.loads(arguments.run))
    study = open_study(arguments.journal, arguments.seed)
    requeue(study)

    def objective(trial: optuna.Trial) -> float:
        trial.set_user_attr("owner", owner())
        rate = trial.suggest_float("rate", 1e-5, 1e-2, log=True)
        return train(replace(run, rate=rate, out=f"{run.out}/{trial.number}"))["judged"]

    while work_left(study, arguments.trials):
        study.optimize(objective, n_trials=1)


if __name__ == "__main__":
    main()
