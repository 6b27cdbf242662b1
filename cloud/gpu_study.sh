#!/usr/bin/env bash
# The whole study on one GPU, in stretches of bounded time. Call it again, here or on another machine that has the records,
# until its exit code is no longer 75:
#
#   cloud/gpu_study.sh 9m data.source=folder data.folder=/data/cifar10 "data.name=CIFAR-10 (JPEG)"
#
# It begins with the tests that need a GPU, the benchmarks, and how many runs at a time pay; what they say lies in
# benchmarks/$NAME, and is not asked again. Each stretch then trains as much of the study as fits, in order of value, and renews
# the report in reports/$NAME. Records lie in runs/$NAME: copy both folders to go on elsewhere.
#
#   NAME      of the study and its report; study-gpu by default
#   WORKERS   runs at a time on the GPU, see benchmarks/$NAME/doctor.txt; 1 by default
#   PYTHON    with reglab and its dev extra installed; .venv/bin/python by default
set -euo pipefail
cd "$(dirname "$0")/.."
stretch=${1:?usage: cloud/gpu_study.sh STRETCH [KEY=VALUE ...], for example 9m}
shift
name=${NAME:-study-gpu}
python=${PYTHON:-.venv/bin/python}
measured=benchmarks/$name
again=75

case $stretch in
  *h) limit=$((${stretch%h} * 3600)) ;;
  *m) limit=$((${stretch%m} * 60)) ;;
  *) limit=${stretch%s} ;;
esac

left() { echo $((limit - SECONDS - 30)); } # 30 s are the report's

# FILE WORD...: what `python -m WORD...` says goes to FILE. Only once, and only in this stretch: it exits where the time is up.
once() {
  local file=$measured/$1 code=0
  shift
  if [ -e "$file" ]; then return; fi
  if [ "$(left)" -le 0 ]; then exit "$again"; fi
  timeout --kill-after 5 "$(left)" "$python" -m "$@" 2>&1 | tee "$file.part" || code=$?
  if [ "$code" -eq 124 ] || [ "$code" -eq 137 ]; then exit "$again"; fi
  if [ "$code" -ne 0 ]; then echo "exit code $code; remove $file to do this again" | tee -a "$file.part"; fi
  mv "$file.part" "$file"
}

mkdir -p "$measured"
once tests.txt pytest tests -m gpu -p no:cacheprovider --durations=0
for benchmark in agc batches overhead bounds; do
  once "$benchmark.txt" reglab bench "$benchmark" --json "$measured/$benchmark.json"
done
for stem in imagenet cifar; do
  for size in 128 256 64; do
    epoch=epoch_${stem}_$size
    once "$epoch.txt" reglab bench epoch "model.stem=$stem" "train.batch_size=$size" --json "$measured/$epoch.json"
  done
done
once doctor.txt reglab doctor --measure 1,2,4

code=0
if [ "$(left)" -lt 30 ]; then exit "$again"; fi
"$python" -m reglab study run --name "$name" --workers "${WORKERS:-1}" --stop-after "$(left)s" "$@" || code=$?
if ! "$python" -m reglab study report --name "$name" || ! "$python" -m reglab report check "reports/$name"; then
  [ "$code" -ne 0 ] || code=1 # no report yet is no failure while the first runs are going
fi
exit "$code"
