from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="kseg",
    version="0.1.0",
    description="FCN and U-Net as the papers have them, for Keras 3: train, score, predict, export, serve",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    package_data={"kseg": ["py.typed", "presets/*/*", "datasets/ids/*.txt", "weights/*.csv", "serving/*.html"]},
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["kseg", "kseg.*"]),
    install_requires=[
        "tensorflow>=2.21",
        "keras>=3.15",
        "opencv-python-headless>=4.10",
        "click>=8.2",
        "numpy>=2",
        "h5py>=3.11",
        "ml_dtypes>=0.5",
        "numba>=0.64",
        "pillow>=11.3",
        "tifffile>=2025.1",
        "imagecodecs>=2025.3",
        "packaging>=24",
        "platformdirs>=4",
        "matplotlib>=3.9",
        "rich>=13",
        "tensorboard>=2.19",
        "protobuf>=6.31",
        "grpcio>=1.70",
        "urllib3>=2.2",
    ],
    extras_require={
        "beam": ["apache-beam>=2.70"],
        # other programs' forms (export --form), and the page of `serve page`
        "onnx": ["tf2onnx>=1.17", "onnxruntime>=1.23"],
        "litert": ["ai-edge-litert>=2.0"],
        "openvino": ["openvino>=2025.3"],
        "page": ["flask>=3.1", "waitress>=3.0"],
        "bench": [  # what `python -m benchmarks peers` compares with
            "torch>=2.9",
            "onnx>=1.19",
            "onnxruntime>=1.23",
            "onnxscript>=0.5",
            "openvino>=2025.3",
        ],
        "compare": [  # what `python -m benchmarks.own_data` compares with
            "torch>=2.9",
            "nnunetv2>=2.8",
            "segmentation-models-pytorch>=0.5",
            "scikit-image>=0.26",
        ],
        "test": [
            "kseg[page]",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "scipy>=1.13",
            "tensorflow-serving-api>=2.21",  # others' messages, which kseg's are compared with
        ],
        "dev": ["kseg[test]", "ruff>=0.9", "mypy>=1.14", "import-linter>=2.1", "pre-commit>=4"],
    },
    entry_points={"console_scripts": ["kseg=kseg.cli:main"]},
)
