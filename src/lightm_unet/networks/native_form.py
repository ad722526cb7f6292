"""Whether a layer's native form computes what its modules would, now.

A native layer reads the parameters of its modules and never calls them. So anything that acts when
a module is called would be passed over in silence: a hook, a module put in another's place (LoRA,
quantisation), a subclass, a parametrization, another `forward`, a changed epsilon. `Form` notes
what a layer was built of and compares that at each pass; where anything but the values of the
parameters is different, the layer calls its modules.

Nothing is kept from one pass to the next, so that no answer can be out of date.
"""

from __future__ import annotations

from typing import Any, TypeVar

from torch import Tensor, nn
from torch.nn.modules import module as torch_module

_FORWARDS: dict[type[nn.Module], Any] = {
    kind: kind.forward
    for kind in (
        nn.Linear,
        nn.LayerNorm,
        nn.Conv2d,
        nn.Conv3d,
        nn.BatchNorm2d,
        nn.BatchNorm3d,
        nn.Identity,
        nn.ModuleList,
    )
}
"""Exact types whose computation the native layers know, with the `forward` that they know."""
_CALL = nn.Module.__call__
_TRAINING_OR_SIZES = {
    "training",
    "in_features",
    "out_features",
    "in_channels",
    "out_channels",
    "num_features",
    "kernel_size",
    "elementwise_affine",
    "affine",
    "momentum",
    "num_batches_tracked",
}
"""Attributes and buffers that matter in training only or repeat the parameters' shapes."""
_BATCH_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)
"""In training these norm by the batch at hand, outside of it by their running statistics; a native
form does one of both."""
Kind = TypeVar("Kind", bound=type[nn.Module])


def known_to_native(kind: Kind) -> Kind:
    """Mark a class of this package, as a decorator: native layers know what it computes."""
    _FORWARDS[kind] = kind.forward
    return kind


class Form:
    """What a module is built of: types, attributes and which tensors there are, not their values.

    Args:
        module: as it was built. If it holds its form, that is made last.
        path: of the module, in front of the names of its tensors.
    """

    def __init__(self, module: nn.Module, path: str = "") -> None:
        inside = vars(module)
        self._kind = type(module)
        self._entries = len(inside)
        self._attributes = [
            (name, value)
            for name, value in inside.items()
            if not name.startswith("_") and name not in _TRAINING_OR_SIZES
        ]
        self._groups = []
        for group in ("_parameters", "_buffers"):
            tensors = inside[group].items()
            there = [
                (name, path + name)
                for name, t in tensors
                if t is not None and name not in _TRAINING_OR_SIZES
            ]
            absent = [name for name, t in tensors if t is None]
            self._groups.append((group, there, absent, len(tensors)))
        self._children = [
            (name, Form(child, f"{path}{name}."))
            for name, child in module._modules.items()
            if child is not None
        ]

    def tensors(self, module: nn.Module, by_batch: bool = False) -> dict[str, Tensor] | None:
        """The parameters and buffers by their paths, if the module is as it was built.

        Hooks and a `forward` of the module itself are not looked at: whoever asks is within it.

        Args:
            module: the one that this form is of.
            by_batch: whether the native form norms by the batch, as every BatchNorm in training
                mode, or by running statistics.

        Returns:
            None if a native form could differ from calling the modules.
        """
        found: dict[str, Tensor] = {}
        as_built = (
            type(module) is self._kind
            and _calls_are_plain()
            and self._collect(vars(module), found, by_batch)
        )
        return found if as_built else None

    def fits(self, module: nn.Module | None) -> bool:
        """Whether calling the module does what its type does, and nothing else."""
        return _calls_are_plain() and self._fits(module, {}, by_batch=False)

    def _fits(self, module: nn.Module | None, found: dict[str, Tensor], by_batch: bool) -> bool:
        kind = self._kind
        if type(module) is not kind or _FORWARDS.get(kind) is not kind.forward:
            return False
        inside = module.__dict__
        return not (
            len(inside) != self._entries  # a `forward` of its own, a parameter made an attribute
            or inside["_forward_hooks"]
            or inside["_forward_pre_hooks"]
            or inside["_backward_hooks"]
            or inside["_backward_pre_hooks"]
            or (kind in _BATCH_NORMS and inside["training"] is not by_batch)
        ) and self._collect(inside, found, by_batch)

    # A network has 140 modules, and this runs for each of them in each pass: loops, no generators.
    def _collect(self, inside: dict[str, Any], found: dict[str, Tensor], by_batch: bool) -> bool:
        for name, value in self._attributes:
            if inside.get(name) != value:
                return False
        for group, there, absent, count in self._groups:
            tensors = inside[group]
            if len(tensors) != count:
                return False
            for name, path in there:
                tensor = tensors.get(name)
                if tensor is None:
                    return False
                found[path] = tensor
            for name in absent:
                if tensors.get(name) is not None:
                    return False
        children = inside["_modules"]
        if len(children) != len(self._children):
            return False
        for name, child in self._children:
            if not child._fits(children.get(name), found, by_batch):
                return False
        return True


def _calls_are_plain() -> bool:
    """Whether calling a module calls its `forward` and no hook for all modules."""
    return nn.Module.__call__ is _CALL and not torch_module._has_any_global_hook()
