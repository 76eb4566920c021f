"""From image files to files with their predictions."""

from kseg.inference.files.inputs import check_apart, list_images, list_streams
from kseg.inference.files.results import predict_file

__all__ = ["check_apart", "list_images", "list_streams", "predict_file"]
