"""What `export` can be told, for the command line and Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lightm_unet.errors import SettingError
from lightm_unet.networks.image_sizes import per_axis
from lightm_unet.system.choices import check_choice
from lightm_unet.system.values import listed, whole_number

Format = Literal["onnx", "web", "html", "monai-bundle"]
Operators = Literal["scan", "basic"]
FORMATS, OPERATORS = map(get_args, (Format, Operators))


@dataclass(frozen=True)
class ExportSettings:
    """Settings of an export. None leaves the choice to the format; not every format has all."""

    operators: Operators | None = None
    """The selective scan in --format onnx: scan is ONNX's operator Scan, which takes images of any
    size; basic is of basic operators alone, for one size. By default scan."""
    size: tuple[int, ...] | None = None
    """Size of the network's input in --format onnx, in pixels or voxels; by default the one to
    which the model resizes images, or that of its patches."""

    def __post_init__(self) -> None:
        if self.operators is not None:
            check_choice("operators", self.operators, OPERATORS)
        if self.size is not None:
            for each in listed("size", self.size, "(256, 256)"):
                whole_number("size", each, 1)

    def size_for(self, spatial_dims: int) -> tuple[int, ...] | None:
        """The size along each axis; one number stands for all of them.

        Raises:
            UsageError: it is of other dimensions.

        Example:
            >>> ExportSettings(size=(64,)).size_for(3)
            (64, 64, 64)
        """
        size = per_axis(self.size, spatial_dims)
        if size is not None and len(size) != spatial_dims:
            raise SettingError(
                f"{{0}} needs {spatial_dims} numbers for a {spatial_dims}D model, "
                f"got {'x'.join(map(str, size))}",
                "size",
            )
        return size
