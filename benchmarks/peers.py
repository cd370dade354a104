"""The alternative packages, each installed in a separate folder.

``torchrecurrent`` 0.2.5 has the import name of this package. So a peer is imported with its
folder in front of all others, and leaves nothing in ``sys.modules``: both can then be used in
one process. One that can't be installed is shown as "not installed", and the benchmark goes on.
``python -m benchmarks.peers`` installs them all, or fails.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

__all__ = [
    "PEERS",
    "PUBLISHED",
    "Factory",
    "Peer",
    "import_apart",
    "install",
    "layers",
    "load_all",
]

FOLDER = Path("build/peers")
Factory = Callable[[int, int], nn.Module]


@dataclass(frozen=True)
class Peer:
    """A published package."""

    package: str
    version: str
    module: str
    about: str

    @property
    def name(self) -> str:
        """Its name in the tables."""
        return self.version if self.package == "torchrecurrent" else self.package

    @property
    def folder(self) -> Path:
        return (FOLDER / f"{self.package}-{self.version}").absolute()

    @property
    def installed(self) -> bool:
        return any(self.folder.glob("*.dist-info"))  # pip moves it in last


PEERS = (
    Peer("torchrecurrent", "0.2.5", "torchrecurrent", "a Python loop"),
    Peer("brc", "0.1.2", "brc_pytorch.modules", "a loop in TorchScript, without recurrent biases"),
    Peer("ur-lstm-torch", "0.0.2", "ur_lstm", "a Python loop; asks for torch < 2, runs on 2"),
)
#: Those whose cells tests/test_modules_published.py runs.
PUBLISHED = (*PEERS, Peer("brc-pytorch", "0.1.3", "brc_pytorch.layers", "a Python loop"))


def load_all() -> tuple[dict[str, ModuleType], dict[str, str]]:
    """Return the peers' modules by name, and a note on every peer."""
    modules: dict[str, ModuleType] = {}
    notes: dict[str, str] = {}
    for peer in PEERS:
        label = f"{peer.package} {peer.version}"
        try:
            install(peer)
            modules[peer.name] = import_apart(peer)
            notes[label] = peer.about
        except Exception as error:  # the benchmark goes on after any error
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            notes[label] = f"not installed: {reason}"
    return modules, notes


def layers(cell: str, modules: Mapping[str, ModuleType]) -> dict[str, Factory]:
    """Return the factory of a cell's layer for each peer that has it, by the peer's name."""
    found: dict[str, Factory] = {}
    for name, module in modules.items():
        if name == "brc":
            kind = {"BR": "BRC", "nBR": "NBRC"}.get(cell)
            if kind is not None:
                found[name] = _StartedFactory(module.StackedRNN, getattr(module, kind))
            continue
        classes = {key.lower(): value for key, value in vars(module).items()}
        layer = classes.get(cell.lower())
        if isinstance(layer, type) and issubclass(layer, nn.Module):
            found[name] = layer
    return found


@dataclass(frozen=True)
class _StartedFactory:
    stack: Callable[..., Any]
    cell: type[nn.Module]

    def __call__(self, input_size: int, hidden_size: int) -> nn.Module:
        return _Started(self.stack(cell=self.cell, input_size=input_size, hidden_size=hidden_size))


class _Started(nn.Module):
    """Gives brc's layers the first state that they require."""

    def __init__(self, stack: Any) -> None:
        super().__init__()
        self.stack = stack

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        output: tuple[Tensor, Any] = self.stack(x, self.stack.init_hidden(x.size(1)))
        return output


def install(peer: Peer) -> None:
    """Install a peer without its dependencies: one of them requires another version of torch."""
    if peer.installed:
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--upgrade", "--target", str(peer.folder)]
    done = subprocess.run(
        [*command, f"{peer.package}=={peer.version}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr or f"pip ended with {done.returncode}")


def import_apart(peer: Peer) -> ModuleType:
    """Import a peer without changing ``sys.modules`` and ``sys.path``."""
    top = peer.module.partition(".")[0]
    ours = _taken(top)
    path = sys.path[:]
    sys.path.insert(0, str(peer.folder))
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(peer.module)
        if not Path(str(module.__file__)).is_relative_to(peer.folder):
            raise ImportError(f"{peer.module} was not found in {peer.folder.name}")
        return module
    finally:
        sys.path[:] = path
        _taken(top)
        sys.modules.update(ours)


def _taken(top: str) -> dict[str, ModuleType]:
    """Remove the modules of a package from ``sys.modules``, and return them."""
    names = [name for name in sys.modules if name == top or name.startswith(f"{top}.")]
    return {name: sys.modules.pop(name) for name in names}


if __name__ == "__main__":
    for each in PUBLISHED:
        install(each)
