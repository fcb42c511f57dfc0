"""All families that can be read, by ``model_type``, and why some cannot."""

from __future__ import annotations

from circuitsearch.errors import InputError, unknown
from circuitsearch.models.arch import Family
from circuitsearch.models.families_dense import DENSE
from circuitsearch.models.families_experts import EXPERTS
from circuitsearch.models.families_recurrent import RECURRENT

FAMILIES: dict[str, Family] = {**DENSE, **EXPERTS, **RECURRENT}

_SEVERAL_STREAMS = "its blocks keep several residual streams and mix them, where this package reads one"
_NORMED_STREAM = "each block norms the stream itself, so that what parts write is not what later parts read"
_SCALED_STREAM = "each block multiplies the stream itself by learned numbers, so that what parts write does not stay"
_CHOOSES_KEYS = "an index beside its heads reads the stream and chooses the keys that they see"
_OTHER_INPUT = "its blocks read other inputs than their residual stream"

REFUSED: dict[str, str] = {
    "minimax": _NORMED_STREAM,
    "openai-gpt": _NORMED_STREAM,
    **dict.fromkeys(("bert", "roberta", "electra", "xlm", "xlnet", "xlm-roberta"), _NORMED_STREAM),
    **dict.fromkeys(
        ("zamba", "zamba2"), "its attention reads the embeddings beside the stream and writes into a mixer"
    ),
    "longcat_flash": "its experts write later in the stream than other parts that read after them",
    **dict.fromkeys(("doge", "zaya"), _SCALED_STREAM),
    **dict.fromkeys(("gemma4", "gemma4_text"), _SCALED_STREAM),
    "muse_spark": _SCALED_STREAM,
    **dict.fromkeys(("gemma3n", "gemma3n_text", "deepseek_v4", "hy_v4", "glm5_next", "qwen4_exp"), _SEVERAL_STREAMS),
    "reformer": _SEVERAL_STREAMS,
    "axk2": "its norms are multiplied by a gate, so that they are no LayerNorm or RMSNorm",
    "inkling": "a convolution over positions follows each attention and MLP, so that heads write to later positions",
    "inkling2": "its blocks attend to earlier blocks, beside the stream",
    "hrm_text": "its blocks are run several times over",
    "diffllama": "its heads work in pairs of which one is subtracted from the other",
    **dict.fromkeys(("deepseek_v32", "glm_moe_dsa", "dots3_note"), _CHOOSES_KEYS),
    **dict.fromkeys(("blt", "mllama", "git", "musicgen", "whisper", "trocr", "prophetnet"), _OTHER_INPUT),
}


def family(model_type: str) -> Family:
    """Look up a family's row.

    Raises
    ------
    InputError
        If the family cannot be read, with the reason, or is not known; the known ones are listed.
    """
    if model_type in REFUSED:
        raise InputError(
            f"a {model_type!r} model cannot be read: {REFUSED[model_type]}; take a model of another family"
            " (circuitsearch models lists them)"
        )
    if model_type not in FAMILIES:
        raise unknown("model family", model_type, FAMILIES)
    return FAMILIES[model_type]
