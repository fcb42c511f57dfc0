"""What users hand over as a model: wrappers, adapters, torch's global modes, models that read more than text."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Shard, distribute_tensor
from transformers import AutoModelForCausalLM, Gemma3Config, Gemma3ForConditionalGeneration, SiglipVisionConfig

import circuitsearch as cs
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError
from circuitsearch.models.digest import weights_sha256
from tests.conftest import TINY, random_task, tiny_model

# peft asks transformers for a name that it has renamed
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
EDGES = (("embed", "a1.h1<q>"), ("m0", "logits"), ("a0.h2", "m1<in>"))
METHODS = (cs.EAP(), cs.Exact(edges=EDGES))


def adapted(name: str, *targets: str, **options):
    """A tiny model with random LoRA matrices on some of its modules, in float64."""
    peft = pytest.importorskip("peft", reason="peft is not installed")
    torch.manual_seed(0)
    settings = peft.LoraConfig(r=2, target_modules=list(targets), init_lora_weights=False, **options)
    return peft.get_peft_model(tiny_model(name), settings).double().eval()


def assert_same_scores(one, other, dtype_rounding: float = 1e-10) -> None:
    """Estimated and exact effects of two models are equal."""
    for method in METHODS:
        first, second = (cs.score(model, random_task(), method).values for model in (one, other))
        torch.testing.assert_close(first, second, atol=dtype_rounding, rtol=0, equal_nan=True)
        assert first.nan_to_num().abs().max() > 0


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("llama-grouped", ["q_proj"]),
        ("llama-grouped", ["k_proj", "v_proj", "o_proj"]),
        ("llama-grouped", ["gate_proj", "down_proj"]),
        ("llama-grouped", ["q_proj", "o_proj", "up_proj", "embed_tokens", "lm_head"]),
        ("gemma2", ["q_proj", "o_proj", "down_proj"]),
        ("gpt2", ["c_attn", "c_proj", "c_fc"]),
    ],
)
def test_a_model_with_lora_scores_as_the_merged_one(name, targets):
    """Adapters on any module are read as applied, fused and transposed projections included."""
    model = adapted(name, *targets, fan_in_fan_out=name == "gpt2")
    assert_same_scores(model, copy.deepcopy(model).merge_and_unload())


def test_adapters_that_are_off_do_not_count():
    """With the adapters disabled it is the base model."""
    model = adapted("llama-grouped", "q_proj", "o_proj")
    with model.disable_adapter():
        assert_same_scores(model, tiny_model("llama-grouped"))


def test_an_adapter_that_is_more_than_a_matrix_is_refused():
    """DoRA scales the weight as well; the sentence says how to merge it."""
    with pytest.raises(InputError, match=r"not plain LoRA.*merge_and_unload\(\)"):
        verified(adapted("llama-grouped", "q_proj", use_dora=True))


def test_prompt_tuning_is_refused():
    """Vectors before the prompt are no tokens."""
    peft = pytest.importorskip("peft", reason="peft is not installed")
    settings = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    with pytest.raises(InputError, match="PROMPT_TUNING adapter puts learned vectors before the prompt"):
        verified(peft.get_peft_model(tiny_model("llama-grouped"), settings).eval())


def test_an_adapter_folder_is_named_as_one(tmp_path):
    """It holds no model; the sentence says how to put both together."""
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}), encoding="utf-8")
    with pytest.raises(InputError, match="holds a PEFT adapter without its model: load the base model"):
        cs.load(tmp_path)


def test_a_compiled_model_is_read_without_its_wrapper():
    """torch.compile's wrapper is taken off: scores and digest are the model's own."""
    model = tiny_model("gpt2")
    compiled = torch.compile(model, backend="eager")
    assert_same_scores(compiled, model)
    assert weights_sha256(compiled) == weights_sha256(model)


@pytest.mark.parametrize("inside", [True, False])
def test_a_model_that_is_compiled_inside_is_refused(inside):
    """Hooks do not see past a compiled part, or a model compiled in place."""
    model = tiny_model("gpt2")
    if inside:
        block: nn.Module = torch.compile(model.transformer.h[0], backend="eager")  # pyright: ignore[reportAssignmentType]
        model.transformer.h[0] = block
    else:
        model.compile(backend="eager")
    with pytest.raises(InputError, match=r"give it without torch\.compile"):
        verified(model)


def test_a_config_that_gives_tuples_is_refused():
    """Some families cannot run so themselves."""
    model = tiny_model("llama-grouped")
    model.config = copy.deepcopy(model.config)
    model.config.return_dict = False
    with pytest.raises(InputError, match=r"return_dict=False.*set it to True"):
        verified(model)


def test_a_model_without_weights_is_refused():
    """The meta device holds shapes alone."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(TINY["gpt2"])
    with pytest.raises(InputError, match="on the meta device"):
        verified(model.eval())


def test_a_model_that_is_split_over_processes_is_refused():
    """As transformers' tensor-parallel plans leave it: a weight of which each process has a part."""
    model = tiny_model("llama")
    with one_process():
        projection = model.model.layers[1].mlp.up_proj
        weight = distribute_tensor(projection.weight.detach(), DeviceMesh("cpu", [0]), [Shard(0)])
        projection.weight = nn.Parameter(weight)
        with pytest.raises(InputError, match=r"layers\.1\.mlp\.up_proj\.weight.*tensor-parallel.*spread"):
            verified(model)


@contextmanager
def one_process() -> Iterator[None]:
    """A group of this process alone."""
    with tempfile.NamedTemporaryFile() as file:
        distributed.init_process_group("gloo", init_method=f"file://{file.name}", rank=0, world_size=1)
        try:
            yield
        finally:
            distributed.destroy_process_group()


def test_a_model_made_under_inference_mode_is_refused():
    """Its weights cannot take part in a backward pass."""
    with torch.inference_mode():
        model = AutoModelForCausalLM.from_config(TINY["gpt2"]).eval()
    with pytest.raises(InputError, match=r"made under torch\.inference_mode\(\)"):
        verified(model)


@contextmanager
def default_device():
    """Tensors are made on the meta device."""
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


REFUSED_MODES = {
    "inference_mode": torch.inference_mode,
    "default device": default_device,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("mode", REFUSED_MODES)
def test_modes_that_change_what_is_computed_are_refused(mode):
    """One sentence says what is on and what to do."""
    model, task = tiny_model("gpt2"), random_task()
    with REFUSED_MODES[mode](), pytest.raises(InputError, match="torch"):
        cs.score(model, task, cs.EAP())


@contextmanager
def default_dtype(dtype: torch.dtype):
    """Tensors are made in another dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def deterministic():
    """Only deterministic operations."""
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


HARMLESS_MODES = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "deterministic": deterministic,
    "no_grad": torch.no_grad,
    "anomalies": torch.autograd.detect_anomaly,
}


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("mode", HARMLESS_MODES)
def test_other_modes_change_no_score(mode):
    """Estimates and exact effects are the same to the last bit."""
    model, task = tiny_model("gemma2", torch.float32), random_task()
    for method in METHODS:
        expected = cs.score(model, task, method).values
        with HARMLESS_MODES[mode]():
            found = cs.score(model, task, method).values
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True, check_dtype=False)


def test_a_model_with_few_positions():
    """The fixed prompt is no longer than the model can read."""
    config = copy.deepcopy(TINY["gpt2"])
    config.n_positions = 4
    model = AutoModelForCausalLM.from_config(config).eval()
    task = cs.Task.from_ids([[1, 2, 3, 4]], [[1, 5, 3, 4]], [6], [7])
    assert cs.score(model, task, cs.EAP()).values.isfinite().any()


@pytest.fixture(scope="module")
def multimodal(tmp_path_factory):
    """A tiny Gemma 3 that reads images too, and the folder it is saved in."""
    torch.manual_seed(0)
    vision = SiglipVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    text = copy.deepcopy(TINY["gemma3_text"]).to_dict()
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=1, image_token_index=39)
    model, folder = Gemma3ForConditionalGeneration(config).eval(), tmp_path_factory.mktemp("multimodal")
    model.save_pretrained(folder)
    return model, folder


def test_a_model_that_reads_images_too_is_loaded_as_its_text_part(multimodal):
    """The text part alone gives the same logits on text."""
    model, folder = multimodal
    loaded, _ = cs.load(folder)
    assert loaded.config.model_type == "gemma3_text"
    ids = torch.tensor([[1, 2, 3, 4]])
    assert torch.equal(loaded(ids).logits, model(ids).logits)


def test_a_model_that_reads_images_too_is_told_how_to_be_read(multimodal):
    """As an object it is refused; the sentence names its text part and the way."""
    with pytest.raises(InputError, match=r"its text part is a 'gemma3_text'.*save_pretrained.*circuitsearch\.load"):
        verified(multimodal[0])
