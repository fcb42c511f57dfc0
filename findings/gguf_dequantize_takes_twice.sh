#!/usr/bin/env bash
# gguf 0.19.0 with numpy 2.4.6: dequantize() takes twice the size of its result at its peak, in every quantisation tried, since it
# computes the rows in groups, keeps a list of all of them, and then joins them into the result. float16 is the exception, a plain cast.
# A model is read tensor by tensor, so it is the largest tensor that counts: of small models the embedding, which is a fifth of
# SmolLM2-135M and three fifths of Gemma 3 270M.
#
# Output seen (peak over the size of the result, as tracemalloc counts what numpy allocates):
#   Q4_0 2.0
#   Q4_1 2.0
#   Q8_0 2.0
#   Q4_K 2.0
#   Q6_K 2.0
#   IQ4_NL 2.0
#   BF16 2.0
#   F16 1.0
#
# What our users meet of it: reading a GGUF file for the first time takes more memory than the weights (docs/long-runs.md, "Loading").
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gguf==0.19.0" "numpy==2.4.6"

cat > "$folder/try.py" <<'PY'
import tracemalloc

import numpy as np
from gguf import GGMLQuantizationType, dequantize
from gguf.constants import GGML_QUANT_SIZES

for name in ("Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q6_K", "IQ4_NL", "BF16", "F16"):
    kind = GGMLQuantizationType[name]
    numbers, size = GGML_QUANT_SIZES[kind]
    rows = np.zeros((4096, 2048 // numbers * size), np.uint8)
    tracemalloc.start()
    result = dequantize(rows, kind)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.shape == (4096, 2048)
    print(name, round(peak / result.astype(np.float32).nbytes, 1))
PY

"$folder/venv/bin/python" "$folder/try.py" | tee "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
Q4_0 2.0
Q4_1 2.0
Q8_0 2.0
Q4_K 2.0
Q6_K 2.0
IQ4_NL 2.0
BF16 2.0
F16 1.0
EXPECTED
