"""What a network is made of, in words."""

from __future__ import annotations

import keras

from kseg.layers import SizeCheck


def describe(model: keras.Model) -> str:
    """A table of the layers with weights (kernel, output, parameters) and the sizes the network takes."""
    rows = [("layer", "kernel", "output", "parameters")]
    for layer in model.layers:
        if layer.weights:
            kernel = getattr(layer, "kernel", None)
            output = layer.output.shape[1:]
            rows.append(
                (
                    layer.name,
                    "" if kernel is None else " x ".join(map(str, kernel.shape)),
                    " x ".join("-" if size is None else str(size) for size in output),
                    f"{layer.count_params():,}",
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join([row[0].ljust(widths[0]), *(row[c].rjust(widths[c]) for c in (1, 2, 3))]) for row in rows]
    lines += ["", f"parameters  {model.count_params():,}"]
    for layer in model.layers:
        if isinstance(layer, SizeCheck):
            geometry = layer.geometry
            sizes = ", ".join(str(geometry.smallest + step * geometry.stride) for step in range(3))
            lines.append(
                f"sizes       {sizes}, ... in steps of {geometry.stride}; the output is {2 * geometry.border} smaller"
            )
    return "\n".join(lines)
