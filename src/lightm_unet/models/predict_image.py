"""An image in memory to labels, by a trained model."""

from __future__ import annotations

import numpy as np
import torch

from lightm_unet.imaging.image import Image
from lightm_unet.models.logits import compute_logits
from lightm_unet.models.model_folder import ModelFolder
from lightm_unet.preprocessing.apply import preprocess_image
from lightm_unet.preprocessing.restore import restore_logits


def predict_image(
    model: ModelFolder,
    image: Image,
    *,
    device: torch.device | str = "cpu",
    overlap: float = 0.5,
) -> np.ndarray:
    """Segment one image in memory.

    Args:
        model: a model returned by `load_model`; its network is moved to the device.
        image: an image as read from its file.
        device: device that runs the network.
        overlap: of neighbouring sliding windows, 0 to below 1; whole-image models ignore it.

    Returns:
        uint8 labels, in the image's own axes and shape.

    Raises:
        DataError: the image's dimensions or channels do not match the model.
    """
    tensor, record = preprocess_image(image, model.preprocessing)
    network = model.network.to(device).eval()
    with torch.inference_mode():
        logits = compute_logits(network, tensor[None].to(device), model.preprocessing, overlap)
    return restore_logits(logits[0], record)
