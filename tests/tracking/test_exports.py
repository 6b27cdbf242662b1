"""Tables as MLflow, Optuna and Ray Tune write them, and scripts that ask W&B's API."""

import csv
import io
import json
import math

import pytest

from reglab.errors import UserError
from reglab.report.programs.roles import CLOCK, AskedRoles
from reglab.report.programs.roles import read as roles_of
from reglab.tracking import exports
from reglab.tracking.csv_file import read
from reglab.tracking.state import State

MLFLOW = """\
run_id,experiment_id,status,artifact_uri,start_time,end_time,metrics.val_acc,metrics.train_loss,params.opt,params.lr,params.seed,tags.mlflow.user,tags.mlflow.runName
a1,1,FINISHED,mlflow-artifacts:/1/a1,2026-11-01 10:00:00.500000+00:00,2026-11-01 10:01:01.500000+00:00,0.81,0.2,adam,0.1,0,me,bold-elk-1
a2,1,FINISHED,mlflow-artifacts:/1/a2,2026-11-01 11:00:00.123000+00:00,2026-11-01 11:01:00.123000+00:00,0.82,0.3,adam,0.1,1,you,calm-fox-2
a3,1,FINISHED,mlflow-artifacts:/1/a3,2026-11-01 12:00:00.123000+00:00,2026-11-01 12:01:00.123000+00:00,0.71,0.4,sgd,0.1,0,me,kind-owl-3
a4,1,FINISHED,mlflow-artifacts:/1/a4,2026-11-01 13:00:00.123000+00:00,2026-11-01 13:01:00.123000+00:00,0.72,0.1,sgd,0.1,1,you,rare-ant-4
a5,1,FAILED,mlflow-artifacts:/1/a5,2026-11-01 14:00:00.123000+00:00,,,,sgd,0.2,1,me,wise-cow-5
"""

OPTUNA = """\
,number,value,datetime_start,datetime_complete,duration,params_dropout,params_opt,user_attrs_test_acc,system_attrs_rung,state
0,0,0.5,2026-11-01 10:00:00.250000,2026-11-01 10:00:30.250000,0 days 00:00:30,0.25,adam,0.4,1,COMPLETE
1,1,0.6,2026-11-01 10:01:00.100000,2026-11-01 10:01:30.100000,0 days 00:00:30,0.75,sgd,0.4,1,COMPLETE
2,2,0.9,2026-11-01 10:02:00.100000,2026-11-01 10:02:30.100000,0 days 00:00:30,0.5,adam,0.4,1,COMPLETE
3,3,0.1,2026-11-01 10:03:00.100000,2026-11-01 10:03:10.100000,0 days 00:00:10,0.1,sgd,,1,PRUNED
"""

TUNE = """\
val_acc,timestamp,checkpoint_dir_name,done,training_iteration,trial_id,date,time_this_iter_s,time_total_s,pid,hostname,node_ip,time_since_restore,iterations_since_restore,config/lr,config/net/width,config/seed,logdir
0.81,1793527200,,True,9,t_0,2026-11-01_10-00-00,2.5,20.5,11,host,10.0.0.1,20.5,9,0.1,64,0,t_0
0.82,1793527201,,True,9,t_1,2026-11-01_10-00-01,2.6,21.5,12,host,10.0.0.1,21.5,9,0.1,64,1,t_1
0.71,1793527202,,True,9,t_2,2026-11-01_10-00-02,2.7,22.5,13,host,10.0.0.1,22.5,9,0.01,64,0,t_2
0.72,1793527203,,True,8,t_3,2026-11-01_10-00-03,2.8,23.5,14,host,10.0.0.1,23.5,8,0.01,64,1,t_3
"""


def test_what_mlflow_writes_is_read(table):
    first, *_, last = read(table(MLFLOW))
    assert first.config == {"params.opt": "adam", "params.lr": 0.1, "params.seed": 0}
    assert first.summary == {"metrics.val_acc": 0.81, "metrics.train_loss": 0.2}
    assert (first.id, first.name, first.state, first.seconds) == ("a1", "bold-elk-1", State.finished, 61)
    assert (last.state, last.seconds, last.summary["metrics.val_acc"]) == (State.failed, None, None)


def test_what_optuna_writes_is_read(table):
    first, *_, last = read(table(OPTUNA))
    assert (first.config, first.summary) == ({"params_dropout": 0.25, "params_opt": "adam"}, {"value": 0.5})
    assert (first.id, first.seconds, first.created.hour) == ("0", 30, 10)
    assert last.state == State.stopped


def test_what_ray_tune_writes_is_read(table):
    first, *_ = read(table(TUNE))
    assert first.config == {"config/lr": 0.1, "config/net/width": 64, "config/seed": 0}
    assert (first.id, first.summary, first.seconds) == ("t_0", {"val_acc": 0.81}, 20.5)


RUNS = [
    (
        {"opt": {"lr": lr}, "seed": seed, "tags": ["a", "b"], "env": None},
        {"acc": acc, "hist": {"bins": [1, 2]}, "_runtime": 61.5, "_step": 9},
    )
    for lr, seed, acc in ((0.1, 0, 0.81), (0.1, 1, 0.83), (0.2, 0, 0.71), (0.2, 1, math.nan))
]
"""Configurations and summaries, as W&B's API has them."""


def of_the_api(runs=RUNS, write=repr, **more):
    """The table that W&B's documentation makes of them: pandas writes an index before it."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["", "summary", "config", "name", *more])
    for number, (config, summary) in enumerate(runs):
        writer.writerow([number, write(summary), write(config), f"calm-sea-{number}", *(column[number] for column in more.values())])
    return stream.getvalue()


@pytest.mark.parametrize("write", [repr, json.dumps])
def test_a_table_of_dictionaries_as_w_and_b_s_api_has_them_is_read(table, write):
    first, *_, last = read(table(of_the_api(write=write)))
    assert first.config == {"opt.lr": 0.1, "seed": 0, "tags": '["a", "b"]', "env": None}
    assert first.summary == {"acc": 0.81, "hist.bins": "[1, 2]"}
    assert (first.name, first.seconds, first.state) == ("calm-sea-0", 61.5, State.finished)
    assert last.summary["acc"] == "NaN"
    found = roles_of(read(table(of_the_api())), AskedRoles())
    assert (found.metric, found.seed, found.factors) == ("acc", "seed", ("opt.lr",))


def test_what_else_such_a_table_tells_is_of_the_run_itself(table):
    states = [State.finished, State.crashed, State.failed, State.running]
    text = of_the_api(id=[*"abcd"], state=states, url=[f"https://x/{run}" for run in "abcd"])
    runs = read(table(text))
    assert [run.id for run in runs] == ["a", "b", "c", "d"]
    assert [run.state for run in runs] == states
    assert "url" not in runs[0].config
    assert runs[0].about["url"] == "https://x/a"


def test_of_reglab_s_own_runs_what_stands_beside_the_configuration_is_no_setting(table):
    beside = {"schema_version": 1, "identity": "a1", "label": "plain", "created": "2026-03-01T10:00:00Z", "environment": {"device": "x"}}
    runs = [(config | beside, summary) for config, summary in RUNS]
    assert [run.config for run in read(table(of_the_api(runs)))] == [run.config for run in read(table(of_the_api()))]


@pytest.mark.parametrize(
    "cell", ["{'a': array([1, 2])}", "{'a': 1", "{1, 2}", "{'a': __import__('os').getcwd()}", "{" * 5000, "{'a': " + "-" * 50000 + "1}"]
)
def test_a_cell_that_is_no_dictionary_is_refused_with_its_line(table, cell):
    text = of_the_api([*RUNS, ({"opt": 1}, {})]).replace("{'opt': 1}", '"' + cell + '"')
    with pytest.raises(UserError, match=r"runs.csv:6: config is .*, which is no dictionary of plain values"):
        read(table(text))


def test_an_empty_cell_is_a_run_that_logged_nothing(table):
    text = of_the_api([*RUNS, ({"opt": {"lr": 0.5}}, {})]).replace("4,{},", "4,,")
    assert read(table(text))[-1].summary == {}


@pytest.mark.parametrize(
    ("text", "asked", "metric", "seed", "factors"),
    [
        (MLFLOW, AskedRoles(), "metrics.val_acc", "params.seed", ("params.opt",)),
        (OPTUNA, AskedRoles(goal="maximize"), "value", None, ("params_dropout", "params_opt")),
        (TUNE, AskedRoles(), "val_acc", "config/seed", ("config/lr",)),
    ],
)
def test_arms_are_of_settings_alone(table, text, asked, metric, seed, factors):
    """Where and when runs ran, and what else they came to, parts none."""
    found = roles_of(read(table(text)), asked)
    assert (found.metric, found.seed, found.time, found.factors) == (metric, seed, CLOCK, factors)


def test_user_attributes_of_optuna_can_be_asked_for(table):
    assert roles_of(read(table(OPTUNA)), AskedRoles(metric="user_attrs_test_acc")).metric == "user_attrs_test_acc"


@pytest.mark.parametrize(
    "columns", [["run_id", "experiment_id", "lr"], ["params.lr", "acc"], ["number", "state", "value"], ["config/lr", "acc"]]
)
def test_other_tables_are_of_no_tracker(columns):
    assert exports.of(columns) is None
