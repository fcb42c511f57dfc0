#!/usr/bin/env bash
# transformers 5.23.0 with torch 2.13.0: `return_dict` is an argument of every model and a setting of its configuration.
# As an argument, False gives a tuple. As a setting, `config.return_dict = False` (and so a saved config.json that holds
# it), makes LlamaForCausalLM and GPT2LMHeadModel raise an AttributeError in their own forward: the causal model asks the
# base model's tuple for `last_hidden_state`.
#
# Output seen:
#   LlamaForCausalLM argument: tuple
#   LlamaForCausalLM setting: AttributeError: 'tuple' object has no attribute 'last_hidden_state'
#   GPT2LMHeadModel argument: tuple
#   GPT2LMHeadModel setting: AttributeError: 'tuple' object has no attribute 'last_hidden_state'
#
# What our users meet of it: such a model is refused with the sentence that return_dict must be True.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "torch==2.13.0"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "transformers==5.23.0"

cat > "$folder/try.py" <<'PY'
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

logging.set_verbosity_error()
llama = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
    bos_token_id=None, eos_token_id=None,
)
gpt2 = GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=4, bos_token_id=None, eos_token_id=None)
ids = torch.tensor([[1, 2, 3]])
for kind, config in ((LlamaForCausalLM, llama), (GPT2LMHeadModel, gpt2)):
    model = kind(config).eval()
    print(f"{kind.__name__} argument: {type(model(ids, return_dict=False)).__name__}")
    model.config.return_dict = False
    try:
        print(f"{kind.__name__} setting: {type(model(ids)).__name__}")
    except AttributeError as error:
        print(f"{kind.__name__} setting: AttributeError: {error}")
PY

"$folder/venv/bin/python" "$folder/try.py" | tee "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
LlamaForCausalLM argument: tuple
LlamaForCausalLM setting: AttributeError: 'tuple' object has no attribute 'last_hidden_state'
GPT2LMHeadModel argument: tuple
GPT2LMHeadModel setting: AttributeError: 'tuple' object has no attribute 'last_hidden_state'
EXPECTED
