from kseg.recipes.recipe import RECIPES, Recipe
from kseg.recipes.specs import AugmentSpec, DataSpec, LossSpec, ModelSpec
from kseg.training.specs import OptimizerSpec


@RECIPES.register("own-unet")
def own_unet() -> Recipe:
    """A person's own folder, on an ordinary machine.

    Measured on two cores with AVX-512, busy with other work: 79 fluorescence images of the 2018 Data Science Bowl,
    `--dataset folder --set data.instances=true`, 10 minutes; on 19 others mean IU 0.934, SEG 0.747; without the border
    weights (`--set loss.border_weight=0`) 0.937 and 0.712. One seed. The networks were chosen by mean IU then.

    63 of these images, 300 steps, chosen by mean IU on the other 16; on the 19: with the threshold and what counts as
    an object as chosen on the 16, F1 of objects 0.874 and count error 0.092, without 0.737 and 0.139.
    """
    augment = AugmentSpec(mirror={}, rotation={}, grey={"gain": 0.3, "offset": 0.05})
    return Recipe(
        name="own-unet",
        model=ModelSpec(width=16, depth=4, padding="same", dropout=0.0, normalization="batch"),
        data=DataSpec(name="folder", batch_size=4, crop=(256, 256), augment=augment),
        loss=LossSpec(border_weight=3.0),
        optimizer=OptimizerSpec(learning_rate=2e-3),
        plan=True,
        steps=600,  # where nothing is measured
        minutes=10.0,
        epoch_steps=50,
        measure="auto",
    )
