from kseg.training.recipe import RECIPES, AugmentSpec, DataSpec, ModelSpec, OptimizerSpec, Recipe


@RECIPES.register("demo")
def demo() -> Recipe:
    """Generated touching cells: what `python cli.py train` does on its own."""
    return Recipe(
        name="demo",
        model=ModelSpec(width=16, depth=3, padding="same", dropout=0.0, normalization="batch"),
        data=DataSpec(name="demo", batch_size=4, crop=(128, 128), augment=AugmentSpec(gain=0.3, offset=0.1)),
        optimizer=OptimizerSpec(learning_rate=3e-3),
        steps=450,
        epoch_steps=50,
    )
