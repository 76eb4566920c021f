"""From image files to files with their predictions."""

from kseg.inference.files.flow import predict_file, predict_files
from kseg.inference.files.inputs import check_apart, list_images, list_streams
from kseg.inference.files.results import Extras

__all__ = ["Extras", "check_apart", "list_images", "list_streams", "predict_file", "predict_files"]
