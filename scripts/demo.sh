#!/bin/sh
# The main job, end to end, offline, on a CPU: train three baselines, write clips, score them beside those of a
# pretrained model, read a leaderboard.
set -eu
vgbench=${VGBENCH:-vgbench}
minutes=${MINUTES:-2}
folder=${FOLDER:-demo}
train='builtin:moving-shapes/train?size=32'
test='builtin:moving-shapes/test?size=32'

run() {
  echo "\$ vgbench $*" >&2
  "$vgbench" "$@"
}

for preset in gru-hinge temporal-deconv-wgan-gp conv3d-lsgan; do
  if [ ! -f "$folder/runs/$preset/generator.safetensors" ]; then
    run train "$preset" --data "$train" --minutes "$minutes" --run "$folder/runs/$preset" --no-score
  fi
  run sample "$folder/runs/$preset" --out "$folder/clips/$preset" --count 256
  run eval "$folder/clips/$preset" --against "$test" --name "$preset" --results "$folder/results" --quiet
done
run sample pretrained:moving-shapes-labels --out "$folder/clips/pretrained" --count 256
run eval "$folder/clips/pretrained" --against "$test" --name "pretrained (moving-shapes-labels)" \
  --results "$folder/results" --quiet
run eval "$train" --against "$test" --name "real (train split)" --role real --results "$folder/results" --quiet
run eval 'builtin:noise?size=32' --against "$test" --name noise --role control --results "$folder/results" --quiet

run report "$folder/results" --output "$folder/leaderboard" --title "Moving shapes"
