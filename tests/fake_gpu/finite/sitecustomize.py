"""Sums are finite in every process whose PYTHONPATH has this folder: on the fake GPU no kernel computes one.

Python imports it at its start, before there is a training loop to speak of: what reads the sums is changed once it is imported.
"""

import importlib.abc
import importlib.util
import sys


def _no_divergence(module):
    module.Run.diverged_step = lambda run, sums: None


def _read_as_zeros(module):
    read = module.EpochSums.read
    module.EpochSums.read = lambda sums: module.Read(0.0, 0.0, 0.0, read(sums).of_techniques)


def _evaluated_as_zeros(module):
    evaluate = module.evaluate

    def zeros(*arguments):
        correct = evaluate(*arguments).correct
        return module.Evaluation(0.0, 0.0, correct.new_zeros(len(correct)))

    module.evaluate = zeros


CHANGED = {"reglab.training.run": _no_divergence, "reglab.training.step": _read_as_zeros, "reglab.training.evaluation": _evaluated_as_zeros}


class _Finite(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname not in CHANGED:
            return None
        change = CHANGED.pop(fullname)
        spec = importlib.util.find_spec(fullname)
        execute = spec.loader.exec_module

        def changed(module):
            execute(module)
            change(module)

        spec.loader.exec_module = changed
        return spec


sys.meta_path.insert(0, _Finite())
