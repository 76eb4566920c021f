from kseg.training.recipe import RECIPES, AugmentSpec, DataSpec, ModelSpec, OptimizerSpec, Recipe


@RECIPES.register("own-unet")
def own_unet() -> Recipe:
    """A person's own folder, on an ordinary machine."""
    return Recipe(
        name="own-unet",
        model=ModelSpec(width=16, depth=4, padding="same", dropout=0.0, normalization="batch"),
        data=DataSpec(name="folder", batch_size=4, crop=(256, 256), augment=AugmentSpec(gain=0.3, offset=0.05)),
        optimizer=OptimizerSpec(learning_rate=2e-3),
        steps=600,
        epoch_steps=50,
    )
