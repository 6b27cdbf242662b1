from reglab.config import RunConfig as RunConfig
from reglab.errors import UserError as UserError
from reglab.report.collection import build_report as build_report
from reglab.report.collection import runs as runs
from reglab.report.compare import compare as compare
from reglab.report.referee.judge import judge as judge
from reglab.running.one_run import train as train

__version__: str
