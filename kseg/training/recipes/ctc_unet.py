from kseg.training.recipe import RECIPES, AugmentSpec, DataSpec, ModelSpec, OptimizerSpec, Recipe


@RECIPES.register("ctc-unet")
def ctc_unet() -> Recipe:
    """Living cells under differential interference contrast (DIC-C2DH-HeLa), kept apart by the border weights.

    `python cli.py train --recipe ctc-unet --data-dir DIC-C2DH-HeLa`. Of the training sequence's nine segmented frames
    067 is left out: trained on 002 to 034, chosen and scored by SEG on 039 and 054, where an object is a 4-connected
    component of the prediction. In 034 and in 039 one cell has no label: without the tracking markers it counts as
    background.
    """
    augment = AugmentSpec(elastic=10.0, elastic_spacing=128.0, gain=0.2, offset=0.05, grey_curve=True)
    return Recipe(
        name="ctc-unet",
        model=ModelSpec(width=16, depth=4, padding="same", dropout=0.0, normalization="batch"),
        data=DataSpec(name="ctc", batch_size=4, crop=(256, 256), augment=augment, drop=(67,)),
        optimizer=OptimizerSpec(learning_rate=2e-3),
        steps=1800,
        epoch_steps=100,
        measure="seg",
    )
