from tests.report.conftest import make_record as make_record
from tests.report.conftest import make_turns as make_turns
from tests.report.conftest import study as study
