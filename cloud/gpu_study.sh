#!/usr/bin/env bash
# The whole study on one GPU, in stretches of bounded time. Call it again, here or on another machine that has the records,
# until it says that nothing is left:
#
#   cloud/gpu_study.sh 9m data.source=folder data.folder=/data/cifar10 "data.name=CIFAR-10 (JPEG)"
#
# The first stretch begins with the tests that need a GPU and the benchmarks; each trains as much of the study as fits, in
# order of value, and renews the report in reports/$NAME. Records lie in runs/$NAME: copy that folder to go on elsewhere.
#
#   NAME      of the study and its report; study-gpu by default
#   WORKERS   runs at a time on the GPU; `reglab doctor` measures how many pay
#   PYTHON    with reglab and its dev extra installed; .venv/bin/python by default
set -euo pipefail
cd "$(dirname "$0")/.."
stretch=${1:?usage: cloud/gpu_study.sh STRETCH [KEY=VALUE ...], for example 9m}
shift
name=${NAME:-study-gpu}
python=${PYTHON:-.venv/bin/python}
report=reports/$name
mkdir -p "$report"

case $stretch in
  *h) limit=$((${stretch%h} * 3600)) ;;
  *m) limit=$((${stretch%m} * 60)) ;;
  *) limit=${stretch%s} ;;
esac

if [ ! -e "$report/benchmarks.json" ]; then
  "$python" -m pytest tests -m gpu -p no:cacheprovider --durations=0 | tee "$report/gpu_tests.txt"
  "$python" -m reglab bench --json "$report/benchmarks.json" | tee "$report/benchmarks.txt"
  "$python" -m reglab doctor --measure 1,2,4 | tee "$report/doctor.txt"
fi

left=$((limit - SECONDS - 30)) # the report's
code=75
if [ "$left" -gt 30 ]; then
  code=0
  "$python" -m reglab study run --name "$name" --workers "${WORKERS:-1}" --stop-after "${left}s" "$@" || code=$?
fi
"$python" -m reglab study report --name "$name"
"$python" -m reglab report check "$report"
exit "$code"
