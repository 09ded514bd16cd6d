"""Export to ONNX. Normalisation, layout and rounding live inside the graphs: images cross as uint8 bytes, codes as int32."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from ..tokenizer import TaTok, Tokens
from .description import without_measurements
from .manifest import FORMAT, FORMAT_VERSION, GRAPHS, write_manifest
from .onnx_graph import HALF_FROM, onnx_graph, save_graph, store_as_half

# Of the eleven significant bits that a float16 has. Fewer lose quality that can be measured; these lose none, and archives of
# a bundle are a third smaller: the bits that are zero compress.
_SIGNIFICANT_BITS = 6


class EncoderGraph(nn.Module):
    """image u8 [B, S, S, 3] -> global_codes i32 [B, K], patch_codes i32 [B, N], global_attention f32 [B, L, H, K, patches].

    Outputs of tokens that the model does not have are left out, and so are the maps without `attention`.
    """

    inputs = ("image",)

    def __init__(self, model: TaTok, *, attention: bool = True) -> None:
        super().__init__()
        self.model = model
        has_global, has_patch = bool(model.config.global_tokens), model.config.patch_codes
        wanted = {"global_codes": has_global, "patch_codes": has_patch, "global_attention": has_global and attention}
        self.outputs = tuple(name for name, present in wanted.items() if present)

    @property
    def network(self) -> nn.Module:
        """The part of the model that the graph runs."""
        return self.model.encoder

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        image = inputs[0].permute(0, 3, 1, 2)
        if "global_attention" in self.outputs:
            tokens, attention = self.model.encode_with_attention(image)
        else:
            tokens, attention = self.model.encode(image), None
        outputs = tokens.global_codes, tokens.patch_codes, attention
        return tuple(output for output in outputs if output is not None)


class EntropyGraph(nn.Module):
    """global_codes, patch_codes i32, visible bool [B, N] -> entropy, surprisal f32 [B, N] bits, expected_code f32 [B, N, D].

    The outputs are those of `TaTok.estimate`. Without global tokens there is no input of theirs.
    """

    outputs = ("entropy", "surprisal", "expected_code")

    def __init__(self, model: TaTok) -> None:
        super().__init__()
        self.model = model
        self.inputs = (*_code_inputs(model), "visible")

    @property
    def network(self) -> nn.Module:
        """The part of the model that the graph runs."""
        return self.model.entropy_model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        given = dict(zip(self.inputs, inputs, strict=True))
        return tuple(self.model.estimate(Tokens(given.get("global_codes"), given["patch_codes"]), given["visible"]))


class DecoderGraph(nn.Module):
    """global_codes, patch_codes i32, expected_code f32 [B, N, D], keep bool [B, N] -> image u8 [B, S, S, 3].

    Without an entropy model every patch is kept, and the last two inputs are left out; so are codes of tokens that the model
    does not have.
    """

    outputs = ("image",)

    def __init__(self, model: TaTok) -> None:
        super().__init__()
        self.model = model
        self.inputs = (*_code_inputs(model), *(("expected_code", "keep") if model.config.filters else ()))

    @property
    def network(self) -> nn.Module:
        """The part of the model that the graph runs."""
        return self.model.decoder

    def forward(self, *inputs: Tensor) -> Tensor:
        given = dict.fromkeys(("global_codes", "patch_codes")) | dict(zip(self.inputs, inputs, strict=True))
        return self.model.decode(Tokens(**given)).permute(0, 2, 3, 1)


def _code_inputs(model: TaTok) -> tuple[str, ...]:
    has = {"global_codes": model.config.global_tokens > 0, "patch_codes": model.config.patch_codes}
    return tuple(name for name, present in has.items() if present)


Graph = EncoderGraph | EntropyGraph | DecoderGraph


def graph_modules(model: TaTok, *, attention: bool = True) -> dict[str, Graph]:
    """The graphs of a model's bundle; a model that cannot drop tokens has no entropy graph."""
    entropy = {"entropy": EntropyGraph(model)} if model.config.filters else {}
    return {"encoder": EncoderGraph(model, attention=attention), **entropy, "decoder": DecoderGraph(model)}


def example_inputs(model: TaTok, batch: int) -> dict[str, Tensor]:
    """Random inputs of every graph by name."""
    config = model.config
    size, patches = config.image_size, config.patch_tokens
    generator = torch.Generator().manual_seed(0)

    def codes(tokens: int) -> Tensor:
        return torch.randint(config.codebook_size, (batch, tokens), generator=generator, dtype=torch.int32)

    return {
        "image": torch.randint(256, (batch, size, size, 3), generator=generator).to(torch.uint8),
        "global_codes": codes(config.global_tokens),
        "patch_codes": codes(patches),
        "visible": torch.rand(batch, patches, generator=generator) < 0.3,
        "expected_code": torch.rand(batch, patches, len(config.levels), generator=generator) * 2 - 1,
        "keep": torch.rand(batch, patches, generator=generator) < 0.5,
    }


def round_weights(model: TaTok) -> TaTok:
    """Rounds the large weights in place, to float16 of six significant bits: PyTorch then computes with a bundle's weights."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() >= HALF_FROM:
                mantissa, exponent = torch.frexp(parameter)
                steps = 2**_SIGNIFICANT_BITS
                parameter.copy_(torch.ldexp((mantissa * steps).round() / steps, exponent).half().float())
    return model


def export_bundle(model: TaTok, out: Path, description: dict[str, Any], measured: dict[str, float]) -> None:
    """Writes the graphs and the manifest; graphs that lie in the folder are of other weights and go.

    `description` holds what the model itself does not know; where it contradicts the model, or says what is of other weights,
    it has no say. `measured` is what was found with these weights: `referenceBudgetBits`, and where they were calibrated
    `entropyTemperature`.
    """
    out.mkdir(parents=True, exist_ok=True)
    for stale in (*out.glob("*.cuda.onnx"), *(out / file for file in GRAPHS.values())):
        stale.unlink(missing_ok=True)
    model = round_weights(model.cpu().eval())
    config = model.config
    graphs = graph_modules(model)
    examples = example_inputs(model, 2)
    for name, module in graphs.items():
        graph = onnx_graph(module, {i: examples[i] for i in module.inputs}, module.outputs, name)
        save_graph(store_as_half(_named_as_in_the_model(graph)), out / GRAPHS[name])
    known = {
        "format": FORMAT,
        "formatVersion": FORMAT_VERSION,
        "image": {"size": config.image_size, "patch": config.patch_size},
        "grid": {"rows": config.grid, "columns": config.grid},
        "globalTokens": config.global_tokens,
        "patchTokens": config.patch_tokens,
        "codebook": {"size": config.codebook_size, "levels": list(config.levels)},
        "attention": {"layers": config.encoder_layers, "heads": config.heads},
        "graphs": {name: GRAPHS[name] for name in graphs},
        "model": asdict(config),
    }
    # `known` twice: it comes first, and it wins.
    write_manifest(out, known | without_measurements(description) | known | measured)


def _named_as_in_the_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Initialisers get the names of `TaTok.state_dict()`: an exported module calls the model, whose names it prefixes."""

    def own(name: str) -> str:
        return name.removeprefix("model.")

    for tensor in model.graph.initializer:
        tensor.name = own(tensor.name)
    for node in model.graph.node:
        node.input[:] = [own(name) for name in node.input]
    return model
