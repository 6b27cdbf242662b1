from tests.report.conftest import make_record as make_record
from tests.report.conftest import study as study
