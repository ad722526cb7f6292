"""`models`."""

from __future__ import annotations


def models() -> None:
    """List the trained models that come with the package; `predict` takes their names."""
    from lightm_unet.models.shipped_models import shipped_models
    from lightm_unet.reporting import formats
    from lightm_unet.reporting.console import print_table

    found = shipped_models()
    print_table(
        "Trained models in this package",
        ["name", "segments", "labels", "images", "parameters", "DSC"],
        [
            [
                model.name,
                model.purpose,
                ", ".join(model.labels),
                f"{model.spatial_dims}D",
                f"{model.parameters:,}",
                formats.share(model.dice),
            ]
            for model in found
        ],
        [
            "DSC: mean over the cases that the model's card names, on the images' own grids.",
            "For research; no medical device. Read a model's card before you use it:",
            *(f"  {model.card}" for model in found),
        ],
        texts=4,
    )
