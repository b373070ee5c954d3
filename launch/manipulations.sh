#!/usr/bin/env bash
# What drives alignment: scenes with exact masks, every manipulation of their pictures and captions, and the activations of
# all layers of ViT-S, MiniLM and MPNet, in the layout that configs/measure/manipulations.py describes. Needs
# requirements-data.txt and requirements-export.txt, and what jam_jax.datasets.fetch and jam_jax.datasets.emoji write. What
# is finished is kept, so after an interruption the same command goes on.
#
#   bash launch/manipulations.sh [FOLDER] [ITEMS]      # FOLDER: where data/ is, by default ./data
set -euo pipefail

data=${1:-data}
items=${2:-300}
python=${PYTHON:-python}
pictures=(original grayscale rotation blur texture_shuffle foreground_removed elsewhere_removed only_foreground only_background)
captions=(words_shuffled nouns nouns_and_verbs stop_words_dropped)

"$python" -m jam_jax.datasets.backgrounds --to="$data"
[ -e "$data/scenes/pairs.parquet" ] || "$python" -m jam_jax.datasets.scenes --data="$data" --backgrounds="$data" \
  --out="$data/scenes" --items="$items"

# manipulation backbone...
export_copy() {
  local out=$data/manipulated/$1
  [ -e "$out/pairs.parquet" ] || "$python" -m jam_jax.datasets.manipulate --folder="$data/scenes" --view=all \
    --manipulation="$1" --out="$out"
  for backbone in "${@:2}"; do
    "$python" -m jam_jax.export --config="configs/export/emoji.py:$backbone" --workdir="$out/$backbone" \
      --config.backbone.weights="$data/weights/$backbone" --config.backbone.runtime=flax \
      --config.data.name="scenes/$1" --config.data.folder="$out" --config.data.view=all
  done
}

export_copy original vit_s14 minilm mpnet
for manipulation in "${pictures[@]:1}"; do export_copy "$manipulation" vit_s14; done
for manipulation in "${captions[@]}"; do export_copy "$manipulation" minilm mpnet; done
