"""How long an exported layer takes in onnxruntime.

``python -m benchmarks.onnx_models`` times, forward, ``torch.nn.LSTM`` and ``torch.nn.GRU`` beside
layers of this package: where ONNX has an operator for the cell, that, and its Scan; else the Scan.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import onnxruntime
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.export import Dim

import torchrecurrent as tr

from .machine import describe, sentence
from .timing import Row, interleave


def session(layer: nn.Module, x: Tensor) -> Callable[[], object]:
    """A call of the exported layer, whose results have been compared with its own."""
    shapes = ({0: Dim.DYNAMIC, 1: Dim.DYNAMIC},)
    program = torch.onnx.export(
        layer.eval(), (x,), dynamic_shapes=shapes, dynamo=True, verbose=False
    )
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    runtime = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {runtime.get_inputs()[0].name: x.numpy()}
    found = torch.from_numpy(runtime.run(None, feed)[0])
    torch.testing.assert_close(found, layer(x)[0], rtol=1e-5, atol=1e-5)
    return lambda: runtime.run(None, feed)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time exported layers in onnxruntime.")
    parser.add_argument("--repeats", type=int, default=101, help="median of so many (%(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="N (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of onnxruntime (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps, batch, width, size = 100, options.batch, 64, 128
    x = torch.randn(steps, batch, width)
    layers: dict[str, nn.Module] = {
        "nn.LSTM": nn.LSTM(width, size),
        "nn.GRU": nn.GRU(width, size),
    }
    for kind in (tr.LSTM, tr.GRU, tr.RNN, tr.BR, tr.nBR, tr.MGU, tr.LEM):
        layers[kind.__name__] = kind(width, size)
    for kind in (tr.LSTM, tr.GRU):
        stepped: Any = kind(width, size)
        stepped.cells[0].onnx_operator = None
        layers[f"{kind.__name__}, Scan"] = stepped
    rows = [Row(name, "ours", {"forward": session(layer, x)}) for name, layer in layers.items()]
    timed = interleave(rows, options.repeats, "onnxruntime")[0]
    first = timed[0].forward
    assert first is not None
    title = f"T, N, I, H = {steps}, {batch}, {width}, {size}"
    view = Table("layer", "forward, ms", "over nn.LSTM", title=title)
    for row in timed:
        assert row.forward is not None
        view.add_row(row.name, f"{row.forward:.2f}", f"{row.forward / first:.2f}")
    console = Console(width=80)
    console.print(view)
    console.print(f"{sentence(describe())}, onnxruntime {onnxruntime.__version__}")


if __name__ == "__main__":
    main()
