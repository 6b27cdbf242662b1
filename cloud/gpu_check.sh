#!/usr/bin/env bash
# Whether a CUDA machine trains as it should, how fast it is, and what the study's final models come to on it: a quarter of an hour.
#
#   cloud/gpu_check.sh [--skip tests|benchmarks|study]... [KEY=VALUE ...]
#
#   tests        those that need a GPU
#   benchmarks   an epoch against the plain recipe, AGC against timm's, the loop's overhead, the device's bounds, kernel by kernel
#   study        sweeps/final.yaml, with as many epochs as let SEEDS seeds of the six models fit, and KEY=VALUE words laid over it
#
# What they say lies in OUT as they go: a part that is cut off leaves what it had. Exit code 1 where a test failed, a benchmark or run
# ended badly, or there was no time for one. Runs lie in runs/NAME, as those of any sweep do: `reglab sweep run sweeps/final.yaml --name
# NAME` goes on.
#
#   OUT          benchmarks/NAME by default
#   NAME         gpu-check by default
#   TESTS, BENCHMARKS, STUDY   seconds that each part may take: 180, 180 and 240
#   IMAGES, ROUNDS             of a benchmark: epochs of 25600 images, and as many rounds as it has by itself, of `epoch` 3
#   SEEDS, WORKERS             of the study: 1 seed, 2 runs at a time
#   EPOCHS       of the study's runs; else what fits, at most 200
#   PYTHON       with reglab and its dev extra installed; .venv/bin/python by default
set -euo pipefail
cd "$(dirname "$0")/.."
parts=" tests benchmarks study "
words=()
while [ $# -gt 0 ]; do
  case $1 in
    --skip)
      case ${2:-} in
        tests | benchmarks | study) parts=${parts/" $2 "/ } ;;
        *) echo "--skip takes tests, benchmarks or study" >&2 && exit 2 ;;
      esac
      shift
      ;;
    *=*) words+=("$1") ;;
    *) echo "$1: not --skip PART and not KEY=VALUE; see the first lines of cloud/gpu_check.sh" >&2 && exit 2 ;;
  esac
  shift
done
name=${NAME:-gpu-check}
out=${OUT:-benchmarks/$name}
python=${PYTHON:-.venv/bin/python}
workers=${WORKERS:-2}
seeds=${SEEDS:-1}
images=${IMAGES:-25600}
rounds=(${ROUNDS:+--rounds "$ROUNDS"})
failed=0
export PYTHONUNBUFFERED=1
mkdir -p "$out"

has() { [[ $parts == *" $1 "* ]]; }
begin() { deadline=$((SECONDS + $1)); }
left() { echo $((deadline - SECONDS)); }

# FILE WORD...: `python -m WORD...` for as long as its part has time; what it says goes to FILE, too.
said() {
  local file=$out/$1 code=0 seconds start=$SECONDS
  shift
  seconds=$(left)
  if [ "$seconds" -lt 10 ]; then
    echo "no time left for: $*" | tee "$file"
    failed=1
    return
  fi
  # A sweep that is told to end has 25 s for its runs' checkpoints; its own exit code is then 75, as where its time was up.
  timeout --preserve-status --kill-after 30 "$seconds" "$python" -m "$@" 2>&1 | tee "$file" || code=$?
  if [ "$code" -ne 0 ] && [ "$code" -ne 75 ]; then # 75: what fitted is done
    echo "exit code $code after $((SECONDS - start)) s: $*" | tee -a "$file"
    failed=1
  fi
}

if has tests; then
  begin "${TESTS:-180}"
  mapfile -t files < <(grep -rl --include='test_*.py' 'mark\.gpu' tests) # no others: they need what a GPU image may lack
  said tests.txt pytest "${files[@]}" -m gpu -p no:cacheprovider -p no:benchmark -n 4 --durations=10
fi

if has benchmarks; then
  begin "${BENCHMARKS:-180}"
  said agc.txt reglab bench agc ${rounds[@]+"${rounds[@]}"} --json "$out/agc.json"
  for batch in 256 128; do
    epoch=(reglab bench epoch --rounds "${ROUNDS:-3}" "data.train_limit=$images" "train.batch_size=$batch")
    [ $batch = 256 ] || epoch+=(agc.enabled=false)
    said "epoch_$batch.txt" "${epoch[@]}" --json "$out/epoch_$batch.json"
  done
  said bounds.txt reglab bench bounds ${rounds[@]+"${rounds[@]}"} "data.train_limit=$images" --json "$out/bounds.json"
  said kernels.txt reglab bench kernels --json "$out/kernels.json"
  said overhead.txt reglab bench overhead ${rounds[@]+"${rounds[@]}"} --json "$out/overhead.json"
fi

# How many epochs of the study's models fit into SECONDS, by a short run of one that takes long.
fitting() {
  "$python" - "$1" "$seeds" "$workers" "${REGLAB_RUNS:-runs}/$name-pace" <<'PYTHON'
import json, pathlib, sys

seconds, seeds, workers = map(float, sys.argv[1:4])
rows = [json.loads(line) for file in pathlib.Path(sys.argv[4]).glob("*/history.jsonl") for line in file.read_text().splitlines()]
if len(rows) < 2:
    sys.exit("its run has not come to two epochs: see pace.txt, or set EPOCHS")
first, last = rows[0]["time/wall_seconds"], rows[-1]["time/wall_seconds"]
epoch = (last - first) / (len(rows) - 1)
start = first - epoch + 5  # what a run takes before its first epoch, and its process before that
each = seconds * workers / (6 * seeds)  # as if the runs did not slow each other: the limit takes care of what does not fit
print(max(1, min(200, int((0.8 * each - start) / epoch))))
PYTHON
}

if has study; then
  begin "${STUDY:-240}"
  if [ -z "${EPOCHS:-}" ]; then
    pace=(reglab sweep run sweeps/final.yaml --name "$name-pace" --workers 1 arm=asymmetric_cutout_2 train.seed=0 train.epochs=5)
    said pace.txt "${pace[@]}" ${words[@]+"${words[@]}"}
    EPOCHS=$(fitting "$(left)") || exit 1
  fi
  seed=$(seq -s , 0 $((seeds - 1)))
  final=(reglab sweep run sweeps/final.yaml --name "$name" --workers "$workers" --stop-after "$(($(left) - 5))s")
  said study.txt "${final[@]}" "train.epochs=$EPOCHS" "train.seed=[$seed]" ${words[@]+"${words[@]}"}
fi
exit "$failed"
