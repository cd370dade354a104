"""A model in ONNX beside itself in torch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.utils import _pytree as pytree

from torchrecurrent import backend

from .making import tensors

#: Inputs of other lengths and batch sizes than the one that a model is exported with, (5, 2).
SHAPES = [(1, 1), (11, 3)]
ANY = Dim.DYNAMIC


class Exported:
    """A model in ONNX, and a session that runs it."""

    def __init__(
        self, model: nn.Module, args: Any, shapes: Any, kwargs: dict[str, Any] | None = None
    ) -> None:
        self.model = model.eval()
        program = torch.onnx.export(
            self.model, args, kwargs=kwargs, dynamic_shapes=shapes, dynamo=True, verbose=False
        )
        assert program is not None
        proto = program.model_proto
        #: How many nodes there are of each kind.
        self.nodes = Counter(node.op_type for node in proto.graph.node)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors: it warns of every constant that it folds
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.check(*args, **(kwargs or {}))

    def check(self, *args: Any, **kwargs: Any) -> None:
        """It computes what the model does."""
        given = [each for each in pytree.tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        names = [each.name for each in self.session.get_inputs()]
        feed = {name: each.numpy() for name, each in zip(names, given, strict=True)}
        found = [torch.from_numpy(each) for each in self.session.run(None, feed)]
        with torch.no_grad(), backend("reference"):
            expected = list(tensors(self.model(*args, **kwargs)))
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            # A hundred roundings of float32: products are summed in another order, and
            # onnxruntime has its own exp and tanh, at each of up to eleven steps. They are
            # roundings of the largest values: small ones may be what is left of large sums.
            largest = max(1.0, float(theirs.abs().max()))
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * largest)


def random_input(layer: Any, steps: int, batch: int) -> Tensor:
    shape = (batch, steps) if layer.batch_first else (steps, batch)
    return torch.randn(*shape, layer.input_size)


def random_state(layer: Any, batch: int) -> Any:
    """A state as ``hx`` takes it, positive, as a normaliser must be."""
    return pytree.tree_map(lambda each: torch.rand_like(each) + 0.1, layer.init_hidden(batch))


def any_batch(state: Any) -> Any:
    return pytree.tree_map(lambda each: {each.dim() - 2: ANY}, state)


def check_layer(layer: Any, given: bool = False) -> Exported:
    """Export with the first states as inputs or without, and run at all shapes."""

    def arguments(steps: int, batch: int) -> tuple[Any, ...]:
        input = random_input(layer, steps, batch)
        return (input, random_state(layer, batch)) if given else (input,)

    args = arguments(5, 2)
    exported = Exported(layer, args, ({0: ANY, 1: ANY}, *map(any_batch, args[1:])))
    for shape in SHAPES:
        exported.check(*arguments(*shape))
    return exported
