"""The public names and where each lives: the one list, for type checkers and at run time."""

from .benchmark.bench import bench as bench
from .comparison.compare import compare as compare
from .costs.count import count_networks as count_networks
from .costs.count import count_paper as count_paper
from .costs.counting import NetworkCost as NetworkCost
from .costs.counting import count_network as count_network
from .datasets.check import check_dataset as check_dataset
from .datasets.importers import import_dataset as import_dataset
from .datasets.phantom import write_phantom_dataset as write_phantom_dataset
from .deploy.export import export as export
from .diagnosis import doctor as doctor
from .evaluation.evaluate import evaluate as evaluate
from .inference.predict import predict as predict
from .models.model_folder import load_model as load_model
from .networks.base import SegmentationNetwork as SegmentationNetwork
from .networks.lightm_unet import LightMUNet as LightMUNet
from .networks.lightm_unet import LightMUNetOptions as LightMUNetOptions
from .networks.peers.released_weights import load_released_weights as load_released_weights
from .networks.registry import build_network as build_network
from .networks.registry import network_names as network_names
from .networks.registry import register_network as register_network
from .networks.spec import NetworkSpec as NetworkSpec
from .ops import backends as backends
from .ops import causal_conv1d as causal_conv1d
from .ops import gated_norm as gated_norm
from .ops import release_memory as release_memory
from .ops import selective_scan as selective_scan
from .training.train import train as train

__version__: str
