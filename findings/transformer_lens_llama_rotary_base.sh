#!/usr/bin/env bash
# TransformerLens 2.18.0 (the last 2.x) with transformers 4.57.6 and torch 2.13.0: the configuration that it makes of a Llama
# has the default rotary base of 10,000 whatever `rope_theta` says, unless the model is one of the Llamas whose settings stand
# in its code. The logits are then wrong, without a word. Its configurations of Qwen 2, OLMo and others take `rope_theta`.
# Of the names it lists, 01-ai/Yi-6B is such a Llama (published base: 5,000,000); here a tiny one of random weights stands for
# it, read from a folder, since no hub is needed for that. With the base set, the same model agrees with Hugging Face's.
#
# Output seen:
#   transformer-lens 2.18.0 transformers 4.57.6
#   rope_theta 5000000.0, rotary_base 10000
#   logits as it is made: different
#   logits with rotary_base 5000000: equal to 1e-5
#
# What our users meet of it: nothing, since the package reads Hugging Face's model. benchmarks/peers sets the base by hand.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip="$folder/venv/bin/pip"
"$pip" install --quiet --disable-pip-version-check "torch==2.13.0"
"$pip" install --quiet --disable-pip-version-check "transformer-lens==2.18.0" "transformers==4.57.6"
"$pip" install --quiet --disable-pip-version-check --no-deps "numpy==2.4.6" "pandas==3.1.1"

cat > "$folder/try.py" <<'PY'
import importlib.metadata
import sys

import torch
from transformer_lens import HookedTransformer
from transformer_lens.loading_from_pretrained import get_pretrained_model_config, get_pretrained_state_dict
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

logging.set_verbosity_error()
print(*(f"{name} {importlib.metadata.version(name)}" for name in ("transformer-lens", "transformers")))
shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 64}
config = LlamaConfig(**shape, num_key_value_heads=4, max_position_embeddings=64, rope_theta=5_000_000.0)
torch.manual_seed(0)
model = LlamaForCausalLM(config).eval()
for parameter in model.parameters():
    parameter.data.normal_(std=0.3)
path = f"{sys.argv[1]}/model"
model.save_pretrained(path)
ids = torch.randint(64, (4, 32))
settings = get_pretrained_model_config(path, device="cpu", fold_ln=True)
settings.tokenizer_name = None  # there is none here
print(f"rope_theta {config.rope_theta}, rotary_base {settings.rotary_base}")


def difference():
    hooked = HookedTransformer(settings).eval()
    hooked.load_and_process_state_dict(get_pretrained_state_dict(path, settings, model))
    with torch.no_grad():
        ours, theirs = (each - each.mean(-1, keepdim=True) for each in (model(ids).logits, hooked(ids)))
    found = ((ours - theirs).abs().max() / ours.abs().max()).item()
    print(found, file=sys.stderr)
    return "equal to 1e-5" if found < 1e-5 else "different" if found > 1e-2 else "close"


print("logits as it is made:", difference())
settings.rotary_base = 5_000_000
print("logits with rotary_base 5000000:", difference())
PY

HF_HUB_OFFLINE=1 "$folder/venv/bin/python" "$folder/try.py" "$folder" | tee "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
transformer-lens 2.18.0 transformers 4.57.6
rope_theta 5000000.0, rotary_base 10000
logits as it is made: different
logits with rotary_base 5000000: equal to 1e-5
EXPECTED
