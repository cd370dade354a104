"""The studies, with their settings: as published in ``paper``, smaller in ``quick``."""

from __future__ import annotations

from ..running.store import StudyError
from ..running.study import Study
from .adding import Adding
from .binary_addition import BinaryAddition
from .copy_first import CopyFirst
from .copy_memory import CopyMemory
from .denoising import Denoising
from .images import SequentialImages
from .language import CharacterModel
from .vowels import Vowels

__all__ = ["STUDIES", "study"]

FOUR = ("LSTM", "GRU", "BRC", "nBRC")
#: The bistable cells, gates designed for long memory, and cells with reports by others.
ELEVEN = (*FOUR, "URLSTM", "MGU", "STAR", "JANET", "CFN", "IndRNN", "LEM")

TINY_RUN = "hidden_size=8 num_layers=1 steps=4 batch_size=8 learning_rate=0.001 evaluate_every=2"
#: For all cells and seeds in a few core-hours, yet enough that cells can be told apart.
SIDE_BY_SIDE = "hidden_size=64 num_layers=1 batch_size=64 learning_rate=0.003 evaluate_every=50"
TINY = f"validation_size=20 test_size=20 {TINY_RUN}"

_STUDIES = (
    Study(
        name="copy-first",
        about="hold the first value of a sequence of noise",
        source="Vecoven, Ernst and Drion (2021), benchmark 1",
        task=CopyFirst,
        cells=FOUR,
        presets={
            "smoke": [f"length=5 {TINY}"],
            "quick": [
                "length=5,100 hidden_size=64 num_layers=2 steps=600 batch_size=100 "
                "learning_rate=0.001 evaluate_every=25"
            ],
            # The authors' first code (June 2020).
            "paper": [
                "length=5,50,100,300,600 train_size=45000 validation_size=5000 test_size=50000 "
                "hidden_size=100 num_layers=2 steps=30000 batch_size=100 learning_rate=0.001 "
                "evaluate_every=100"
            ],
            "leaderboard": [f"length=50 test_size=1000 steps=600 {SIDE_BY_SIDE}"],
        },
    ),
    Study(
        name="denoising",
        about="tell the few marked values of a sequence of noise",
        source="Vecoven, Ernst and Drion (2021), benchmark 2",
        task=Denoising,
        cells=FOUR,
        presets={
            "smoke": [f"length=6 values=2 delay=2 form=stepwise,last {TINY}"],
            "quick": [
                "length=60 values=2 delay=30 hidden_size=64 num_layers=2 steps=1000 "
                "batch_size=64 learning_rate=0.001 evaluate_every=50"
            ],
            "paper": [
                # The authors' first code (June 2020) ...
                "form=last length=400 delay=0,200 train_size=45000 validation_size=5000 "
                "test_size=50000 hidden_size=100 num_layers=4 steps=40000 batch_size=100 "
                "learning_rate=0.001 evaluate_every=400",
                # ... and their later one (January 2021), 100 epochs.
                "form=stepwise length=400 delay=0,200 train_size=60000 validation_size=5000 "
                "test_size=10000 hidden_size=128 num_layers=2 steps=60000 batch_size=100 "
                "learning_rate=0.001 evaluate_every=600",
            ],
        },
    ),
    Study(
        name="binary-addition",
        about="add two numbers bit by bit, and longer ones than trained on",
        source="niklexical/brc_pytorch",
        task=BinaryAddition,
        cells=FOUR,
        presets={
            "smoke": [f"train_to=5 test_to=7 curriculum=false,true train_size=20 epochs=1 {TINY}"],
            "quick": [
                "validation_size=500 test_size=500 hidden_size=64 num_layers=1 steps=4000 "
                "batch_size=128 learning_rate=0.001 evaluate_every=200"
            ],
            # 18 lengths x 15 epochs x 50 batches
            "paper": [
                "curriculum=true hidden_size=100 num_layers=1,2 steps=13500 batch_size=200 "
                "learning_rate=0.001 evaluate_every=250"
            ],
            "leaderboard": [f"validation_size=500 test_size=500 steps=1200 {SIDE_BY_SIDE}"],
        },
    ),
    Study(
        name="adding",
        about="add the two marked numbers of a sequence",
        source="Hochreiter and Schmidhuber (1997); as Arjovsky, Shah and Bengio (2016)",
        task=Adding,
        cells=ELEVEN,
        presets={
            "smoke": [f"length=5 {TINY}"],
            "quick": [
                "length=50 validation_size=500 hidden_size=64 num_layers=1 steps=1800 "
                "batch_size=100 learning_rate=0.001 evaluate_every=50"
            ],
            "paper": [
                # The protocol of the torchrecurrent repository, with equal budgets.
                "length=100,200,500 hidden_size=128 num_layers=2 steps=10000 batch_size=128 "
                "learning_rate=0.001 evaluate_every=100",
                # Gu et al. (2020)
                "length=2000 hidden_size=256 num_layers=1 steps=100000 batch_size=10 "
                "learning_rate=0.001 evaluate_every=1000 clip=1",
            ],
            "leaderboard": [
                f"length=50 validation_size=500 test_size=1000 steps=1000 {SIDE_BY_SIDE}"
            ],
        },
    ),
    Study(
        name="copy-memory",
        about="write down ten symbols after a long blank",
        source="Hochreiter and Schmidhuber (1997); as Gu et al. (2020)",
        task=CopyMemory,
        cells=ELEVEN,
        presets={
            "smoke": [f"lag=3 form=last,every {TINY}"],
            "quick": [
                "lag=30 validation_size=500 hidden_size=64 num_layers=1 steps=2000 "
                "batch_size=64 learning_rate=0.001 evaluate_every=100"
            ],
            "paper": [
                "lag=480 hidden_size=256 num_layers=1 steps=10000 batch_size=10 "
                "learning_rate=0.001 evaluate_every=100 clip=1"
            ],
            "leaderboard": [f"lag=20 validation_size=500 test_size=1000 steps=1000 {SIDE_BY_SIDE}"],
        },
    ),
    Study(
        name="images",
        about="tell what an image shows, row by row or pixel by pixel, and then a blank",
        source="Vecoven, Ernst and Drion (2021), benchmark 3, on Fashion-MNIST",
        task=SequentialImages,
        cells=FOUR,
        presets={
            "smoke": [
                f"images=digits blanks=2 variable_blanks=false,true validation_size=20 {TINY_RUN}"
            ],
            "quick": [
                "permutation=1 blanks=0,72 hidden_size=64 num_layers=2 steps=600 batch_size=100 "
                "learning_rate=0.001 evaluate_every=50"
            ],
            "paper": [
                # The authors' first code (June 2020).
                "order=pixel blanks=0,300 hidden_size=100 num_layers=4 steps=40000 "
                "batch_size=100 learning_rate=0.001 evaluate_every=500",
                # Their code of January 2021, 100 epochs of 60,000; its permutations are others.
                "order=pixel permutation=1 pad=zero hidden_size=128 num_layers=2 steps=60000 "
                "batch_size=100 learning_rate=0.001 evaluate_every=600",
                "order=row permutation=1 blanks=72,472 pad=zero hidden_size=128 num_layers=2 "
                "steps=60000 batch_size=100 learning_rate=0.001 evaluate_every=600",
            ],
            "leaderboard": [f"permutation=1 blanks=0 steps=400 {SIDE_BY_SIDE}"],
        },
    ),
    Study(
        name="language-model",
        about="tell the next character of real text",
        source="the King James Bible, of Debian's bible-kjv",
        task=CharacterModel,
        cells=FOUR,
        presets={
            "smoke": [f"text=python unroll=8 {TINY} validation_size=320 test_size=320"],
            "quick": [
                "hidden_size=128 num_layers=1 steps=2000 batch_size=32 learning_rate=0.002 "
                "evaluate_every=100 clip=1"
            ],
            # No paper has this text and split. 8,192 characters a step: 22 epochs.
            "paper": [
                "unroll=128 validation_size=200000 test_size=200000 hidden_size=512 num_layers=2 "
                "steps=10000 batch_size=64 learning_rate=0.001 evaluate_every=250 clip=1"
            ],
            "leaderboard": [
                "hidden_size=128 num_layers=1 steps=500 batch_size=32 learning_rate=0.002 "
                "evaluate_every=50 clip=1"
            ],
        },
    ),
    Study(
        name="vowels",
        about="tell who speaks, from recordings of unequal length",
        source="Kudo, Toyama and Shimbo (1999)",
        task=Vowels,
        cells=FOUR,
        presets={
            "smoke": [f"held_out=6 {TINY_RUN}"],
            # 30 epochs of 8 batches
            "quick": [
                "hidden_size=32 num_layers=1 steps=240 batch_size=27 learning_rate=0.01 "
                "evaluate_every=8"
            ],
            # The source has no recurrent network; 100 epochs.
            "paper": [
                "hidden_size=32,128 num_layers=1 steps=800 batch_size=27 learning_rate=0.01 "
                "evaluate_every=8"
            ],
            "leaderboard": [
                "hidden_size=32 num_layers=1 steps=240 batch_size=27 learning_rate=0.01 "
                "evaluate_every=8"
            ],
        },
    ),
)

#: The studies by name, in the order in which they are listed.
STUDIES = {each.name: each for each in _STUDIES}


def study(name: str) -> Study:
    """Return a study by its name.

    Raises:
        StudyError: if there is none.
    """
    if name not in STUDIES:
        raise StudyError(f"study: expected one of {', '.join(STUDIES)}, got {name!r}")
    return STUDIES[name]
