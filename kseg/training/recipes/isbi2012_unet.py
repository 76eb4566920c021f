from kseg.training.recipe import RECIPES, DataSpec, ModelSpec, OptimizerSpec, Recipe


@RECIPES.register("isbi2012-unet")
def isbi2012_unet() -> Recipe:
    """The ISBI 2012 EM stack on two CPU cores."""
    return Recipe(
        name="isbi2012-unet",
        model=ModelSpec(width=16, depth=4, padding="same", dropout=0.0, normalization="batch"),
        data=DataSpec(name="isbi2012", batch_size=4, crop=(256, 256)),
        optimizer=OptimizerSpec(learning_rate=1e-3),
        steps=900,
        epoch_steps=100,
        measure="v_rand",
    )
