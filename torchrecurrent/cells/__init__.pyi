# Written by torchrecurrent/stubs.py; do not edit.
from .brc import BR as BR
from .brc import BRCell as BRCell
from .brc import NBR as NBR
from .brc import NBRCell as NBRCell
from .brc import nBR as nBR
from .brc import nBRCell as nBRCell
from .cornn import coRNN as coRNN
from .cornn import coRNNCell as coRNNCell
from .gru import GRU as GRU
from .gru import GRUCell as GRUCell
from .gru import GRUResetBefore as GRUResetBefore
from .gru import GRUResetBeforeCell as GRUResetBeforeCell
from .indrnn import IndRNN as IndRNN
from .indrnn import IndRNNCell as IndRNNCell
from .intersection_rnn import IntersectionRNN as IntersectionRNN
from .intersection_rnn import IntersectionRNNCell as IntersectionRNNCell
from .lem import LEM as LEM
from .lem import LEMCell as LEMCell
from .lstm import LSTM as LSTM
from .lstm import LSTMCell as LSTMCell
from .mgu import MGU as MGU
from .mgu import MGUCell as MGUCell
from .peephole_lstm import PeepholeLSTM as PeepholeLSTM
from .peephole_lstm import PeepholeLSTMCell as PeepholeLSTMCell
from .rnn import RNN as RNN
from .rnn import RNNCell as RNNCell
from .strongly_typed import TGRU as TGRU
from .strongly_typed import TGRUCell as TGRUCell
from .tau_gru import tauGRU as tauGRU
from .tau_gru import tauGRUCell as tauGRUCell
from .ur_lstm import URLSTM as URLSTM
from .ur_lstm import URLSTMCell as URLSTMCell
from .xlstm import sLSTM as sLSTM
from .xlstm import sLSTMCell as sLSTMCell

__all__ = ["BR", "BRCell", "GRU", "GRUCell", "GRUResetBefore", "GRUResetBeforeCell", "IndRNN", "IndRNNCell", "IntersectionRNN", "IntersectionRNNCell", "LEM", "LEMCell", "LSTM", "LSTMCell", "MGU", "MGUCell", "NBR", "NBRCell", "PeepholeLSTM", "PeepholeLSTMCell", "RNN", "RNNCell", "TGRU", "TGRUCell", "URLSTM", "URLSTMCell", "coRNN", "coRNNCell", "nBR", "nBRCell", "sLSTM", "sLSTMCell", "tauGRU", "tauGRUCell"]
