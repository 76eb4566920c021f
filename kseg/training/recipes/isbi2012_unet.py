from kseg.training.recipe import RECIPES, AugmentSpec, DataSpec, ModelSpec, OptimizerSpec, Recipe


@RECIPES.register("isbi2012-unet")
def isbi2012_unet() -> Recipe:
    """The ISBI 2012 EM stack on two CPU cores."""
    augment = AugmentSpec(elastic=8.0, elastic_spacing=64.0, gain=0.2, offset=0.05, grey_curve=True)
    return Recipe(
        name="isbi2012-unet",
        model=ModelSpec(width=16, depth=4, padding="same", dropout=0.0, normalization="batch"),
        data=DataSpec(name="isbi2012", batch_size=4, crop=(256, 256), augment=augment),
        optimizer=OptimizerSpec(learning_rate=2e-3),
        steps=1600,
        epoch_steps=200,
        measure="v_rand",
        average="rotations",
    )
