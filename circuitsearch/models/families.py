"""All families that can be read, by ``model_type``, and the reasons why others cannot."""

from __future__ import annotations

from circuitsearch.errors import InputError, unknown
from circuitsearch.models.arch import Family
from circuitsearch.models.families_dense import DENSE
from circuitsearch.models.families_experts import EXPERTS
from circuitsearch.models.families_recurrent import RECURRENT

FAMILIES: dict[str, Family] = {**DENSE, **EXPERTS, **RECURRENT}

_SEVERAL_STREAMS = "its blocks have several residual streams and mix them, and this package reads one"
_NORMED_STREAM = (
    "each block norms the stream itself, so that later parts do not read the sum of what earlier parts write"
)
_SCALED_STREAM = (
    "each block multiplies the stream itself by learned numbers, so that it is not the sum of what parts write"
)
_CHOOSES_KEYS = "an indexer outside its heads reads the stream and chooses the keys to which they attend"
_OTHER_INPUT = "its blocks read other inputs than their residual stream"

REFUSED: dict[str, str] = {
    "minimax": _NORMED_STREAM,
    "openai-gpt": _NORMED_STREAM,
    **dict.fromkeys(("bert", "roberta", "electra", "xlm", "xlnet", "xlm-roberta"), _NORMED_STREAM),
    **dict.fromkeys(
        ("zamba", "zamba2"), "its attention reads the embeddings as well as the stream and writes into a mixer"
    ),
    "longcat_flash": "its experts write later in the stream than other parts that read after them",
    **dict.fromkeys(("doge", "zaya"), _SCALED_STREAM),
    **dict.fromkeys(("gemma4", "gemma4_text"), _SCALED_STREAM),
    "muse_spark": _SCALED_STREAM,
    **dict.fromkeys(("gemma3n", "gemma3n_text", "deepseek_v4", "hy_v4", "glm5_next", "qwen4_exp"), _SEVERAL_STREAMS),
    "reformer": _SEVERAL_STREAMS,
    "axk2": "its norms are multiplied by a gate, so that they are not a LayerNorm or RMSNorm",
    "inkling": "a convolution over positions follows each attention and MLP, so that heads write to later positions",
    "inkling2": "its blocks attend to earlier blocks, not only to the stream",
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
        If the family cannot be read, with the reason, or has no row.
    """
    if model_type in REFUSED:
        raise InputError(
            f"a {model_type!r} model cannot be read: {REFUSED[model_type]}; take a model of another family"
            " (circuitsearch models lists them)"
        )
    if model_type not in FAMILIES:
        raise unknown("model family", model_type, FAMILIES)
    return FAMILIES[model_type]
