from kseg.training.recipe import RECIPES, AugmentSpec, DataSpec, ModelSpec, OptimizerSpec, Recipe


@RECIPES.register("isbi2012-unet")
def isbi2012_unet() -> Recipe:
    """The ISBI 2012 EM stack on two CPU cores.

    Measured with `python cli.py train --recipe isbi2012-unet --data-dir isbi2012`, two cores with AVX-512, busy with
    other work: 25 minutes; on slices 24 to 29 V_rand 0.979, V_info 0.983, Rand error 0.077, warping
    error 0.00172, pixel error 0.046, mean IU 0.790 (without the average 0.964, 0.977, 0.111, 0.00186, 0.047, 0.784).
    One seed. The paper's network, on the challenge's own test slices: warping error 0.000353, Rand error 0.0382,
    pixel error 0.0611.
    """
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
